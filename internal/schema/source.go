package schema

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// source holds the comments and constants of a package. Reflection does not have
// them.
//
// The comments of the Go fields are the descriptions of the schema, so that
// editors show the same text as pkg.go.dev.
type source struct {
	types  map[string]string   // comments by name
	fields map[string]string   // comments by "Type.Field"
	words  map[string][]string // the constants of a string type, in order
	consts map[string]string   // the values of those, by name
}

// parseSource reads the Go files of a directory.
//
// Test files are left out. A directory without Go files is an error, as a wrong
// path would give a schema without words.
func parseSource(dir string) (*source, error) {
	s := &source{types: map[string]string{}, fields: map[string]string{}, words: map[string][]string{}, consts: map[string]string{}}
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, &fs.PathError{Op: "glob", Path: dir, Err: fs.ErrNotExist}
	}
	set := token.NewFileSet()
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if d, ok := d.(*ast.GenDecl); ok {
				s.declaration(d)
			}
		}
	}
	return s, nil
}

// declaration notes the comments of types, and the words of string constants by their
// types: they are the enums of the schema.
//
// A constant counts if it has a named type and a literal of its own.
func (s *source) declaration(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if doc == nil {
				doc = d.Doc
			}
			s.types[spec.Name.Name] = doc.Text()
			if structure, ok := spec.Type.(*ast.StructType); ok {
				s.structure(spec.Name.Name, structure)
			}
		case *ast.ValueSpec:
			named, ok := spec.Type.(*ast.Ident)
			if d.Tok != token.CONST || !ok || len(spec.Values) != 1 {
				continue
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if word, err := strconv.Unquote(literal.Value); err == nil {
					s.words[named.Name] = append(s.words[named.Name], word)
					s.consts[spec.Names[0].Name] = word
				}
			}
		}
	}
}

// structure notes the comments of fields. A field without a comment shares the one
// above, if the comment names the field.
func (s *source) structure(name string, structure *ast.StructType) {
	above := ""
	for _, f := range structure.Fields.List {
		for _, id := range f.Names {
			text := f.Doc.Text()
			if text == "" && regexp.MustCompile(`\b`+id.Name+`\b`).MatchString(above) {
				text = above
			}
			s.fields[name+"."+id.Name] = text
			above = text
		}
	}
}

// typeDoc is the first paragraph of a type's comment, in the words of the
// document.
func (s *source) typeDoc(t reflect.Type) string {
	first, _, _ := strings.Cut(s.types[t.Name()], "\n\n")
	return s.plain(t, first)
}

// fieldDoc is the comment of a field, or else that of its type.
func (s *source) fieldDoc(t reflect.Type, f reflect.StructField) string {
	if text := s.fields[t.Name()+"."+f.Name]; text != "" {
		return s.plain(t, text)
	}
	return s.typeDoc(t)
}

// plain is a comment for people who do not write Go: constants by their values,
// fields by their names in the document, no links, no line breaks.
//
// In the comment of Config.StreamCommit the text "If empty, StreamCommitFirstContent"
// becomes "If empty, first_content", and "MaxAttempts" becomes "max_attempts".
func (s *source) plain(t reflect.Type, text string) string {
	text = linkPattern.ReplaceAllString(text, "$1")
	text = strings.Join(strings.Fields(text), " ")
	text = regexp.MustCompile(`[A-Za-z][A-Za-z0-9]*`).ReplaceAllStringFunc(text, func(word string) string {
		if value, ok := s.consts[word]; ok {
			return value
		}
		// "Headers" may begin a sentence of its own; two capitals tell a name.
		f, ok := t.FieldByName(word)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); ok && name != "" && name != "-" {
			return name
		}
		return word
	})
	return strings.TrimSuffix(text, ":")
}
