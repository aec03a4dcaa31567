package gatewayvault

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Auth says who the gateway is. The functions of this package make one.
type Auth interface {
	login() (login, error)
}

// login is a request for a token. An empty path stands for a token at hand.
type login struct {
	path  string
	body  map[string]string
	token string
}

// Token is a token made elsewhere. It is renewed while it can be.
func Token(token string) Auth { return fixed(token) }

type fixed string

func (f fixed) login() (login, error) {
	if f == "" {
		return login{}, errors.New("the token is empty")
	}
	return login{token: string(f)}, nil
}

// String hides the token.
func (fixed) String() string { return "a token" }

// GoString hides the token.
func (fixed) GoString() string { return "gatewayvault.Token(…)" }

// TokenFile is a token in a file, such as the sink of Vault's agent. It is read again
// when the token has ended or was refused.
func TokenFile(path string) Auth { return tokenFile(path) }

type tokenFile string

func (f tokenFile) login() (login, error) {
	token, err := readLine(string(f))
	return login{token: token}, err
}

// Kubernetes logs in as the service account of the pod. The mount is the
// auth method's; if empty, "kubernetes".
func Kubernetes(mount, role string) Auth {
	if mount == "" {
		mount = "kubernetes"
	}
	return JWTFile(mount, role, "/var/run/secrets/kubernetes.io/serviceaccount/token")
}

// JWTFile logs in by a signed token in a file. The file is read for each login. The
// mount is an auth method's of type jwt or kubernetes.
func JWTFile(mount, role, path string) Auth { return jwtFile{mount, role, path} }

type jwtFile struct{ mount, role, path string }

func (j jwtFile) login() (login, error) {
	jwt, err := readLine(j.path)
	return login{path: "auth/" + j.mount + "/login", body: map[string]string{"role": j.role, "jwt": jwt}}, err
}

// AppRole logs in by a role id and a secret id in a file. The file is read for each
// login.
func AppRole(roleID, secretIDFile string) Auth { return appRole{roleID, secretIDFile} }

type appRole struct{ roleID, secretIDFile string }

func (a appRole) login() (login, error) {
	secretID, err := readLine(a.secretIDFile)
	return login{path: "auth/approle/login", body: map[string]string{"role_id": a.roleID, "secret_id": secretID}}, err
}

// readLine returns the text of a small file without spaces around it.
func readLine(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", fmt.Errorf("%q is empty", path)
	}
	return text, nil
}
