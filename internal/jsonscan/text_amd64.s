//go:build !purego

#include "textflag.h"

// X8 to X10 hold sixteen times '\\', 2 and 32. A xor with 2 swaps a quote with a space, and
// control characters among themselves. Then a byte of at most 32 ends the run, as a
// backslash does.
#define EACH(BYTES, X) \
	MOVQ       BYTES, DX \
	MOVQ       DX, X     \
	PUNPCKLQDQ X, X

// ENDS loads 16 bytes and puts a bit into MASK for each byte that ends the run.
#define ENDS(AT, MASK) \
	MOVOU    AT, X0   \
	MOVO     X8, X1   \
	PCMPEQB  X0, X1   \
	PXOR     X9, X0   \
	MOVO     X0, X2   \
	PMINUB   X10, X2  \
	PCMPEQB  X0, X2   \
	POR      X2, X1   \
	PMOVMSKB X1, MASK

// func plainText(p []byte) int
TEXT ·plainText(SB), NOSPLIT, $0-32
	MOVQ p_base+0(FP), SI
	MOVQ p_len+8(FP), R8
	LEAQ ·shortEscapes(SB), R10
	EACH($0x5c5c5c5c5c5c5c5c, X8)
	EACH($0x0202020202020202, X9)
	EACH($0x2020202020202020, X10)
	LEAQ -64(R8), CX
	LEAQ -16(R8), R9
	XORL AX, AX

next:
	CMPQ AX, CX
	JGT  rest

block: // of 64 bytes: the least of four bytes tells of all of them
	MOVOU    (SI)(AX*1), X0
	MOVOU    16(SI)(AX*1), X1
	MOVOU    32(SI)(AX*1), X2
	MOVOU    48(SI)(AX*1), X3
	MOVO     X8, X4
	PCMPEQB  X0, X4
	MOVO     X8, X5
	PCMPEQB  X1, X5
	MOVO     X8, X6
	PCMPEQB  X2, X6
	MOVO     X8, X7
	PCMPEQB  X3, X7
	POR      X5, X4
	POR      X7, X6
	POR      X6, X4
	PXOR     X9, X0
	PXOR     X9, X1
	PXOR     X9, X2
	PXOR     X9, X3
	PMINUB   X1, X0
	PMINUB   X3, X2
	PMINUB   X2, X0
	MOVO     X0, X1
	PMINUB   X10, X1
	PCMPEQB  X0, X1
	POR      X1, X4
	PMOVMSKB X4, DX
	TESTL    DX, DX
	JNE      within
	ADDQ     $64, AX
	CMPQ     AX, CX
	JLE      block

rest: // less than 64 bytes
	CMPQ  AX, R9
	JGT   done
	MOVL  $16, R12
	ENDS((SI)(AX*1), DX)
	TESTL DX, DX
	JNE   found
	ADDQ  $16, AX
	JMP   rest

within: // the block are bytes that end plain text, or begin an escape
	MOVL $64, R12
	ENDS(48(SI)(AX*1), DX)
	SHLQ $16, DX
	ENDS(32(SI)(AX*1), BX)
	ORQ  BX, DX
	SHLQ $16, DX
	ENDS(16(SI)(AX*1), BX)
	ORQ  BX, DX
	SHLQ $16, DX
	ENDS((SI)(AX*1), BX)
	ORQ  BX, DX

found: // the first bit of DX; R12 bytes were looked at
	TZCNTQ  DX, BX
	LEAQ    (AX)(BX*1), R11
	CMPB    (SI)(R11*1), $'\\'
	JNE     ended
	LEAQ    1(R11), R13
	CMPQ    R13, R8
	JGE     ended
	MOVBLZX (SI)(R13*1), R13
	CMPB    (R10)(R13*1), $0
	JEQ     ended
	BTRQ    BX, DX // both bytes of the escape
	INCQ    BX
	BTRQ    BX, DX // beyond bit 63 this is one that is clear
	TESTQ   DX, DX
	JNE     found
	ADDQ    R12, AX
	ADDQ    $2, R11
	CMPQ    R11, AX
	CMOVQGT R11, AX // the escape ends in the next block
	JMP     next

ended:
	MOVQ R11, AX

done:
	MOVQ AX, ret+24(FP)
	RET
