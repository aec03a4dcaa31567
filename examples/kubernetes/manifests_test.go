// Package kubernetes holds the test of the manifests in this folder.
package kubernetes

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	yaml "sigs.k8s.io/yaml/goyaml.v3"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// recipe is the title in docs/cookbook.md.
const recipe = "Kubernetes"

// The manifests, as far as the test reads them.
type (
	manifest struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name string }
		Data       map[string]string
		Spec       spec
	}
	spec struct {
		Replicas int
		Selector map[string]any
		Ports    []port
		Template struct {
			Metadata struct{ Labels map[string]any }
			Spec     pod
		}
	}
	pod struct {
		Grace      int `yaml:"terminationGracePeriodSeconds"`
		Containers []container
		Volumes    []struct {
			Name      string
			ConfigMap struct{ Name string } `yaml:"configMap"`
			Secret    struct {
				Name string `yaml:"secretName"`
			}
		}
	}
	container struct {
		Name            string
		Image           string
		Args            []string
		Ports           []port
		Ready           probe   `yaml:"readinessProbe"`
		Live            probe   `yaml:"livenessProbe"`
		VolumeMounts    []mount `yaml:"volumeMounts"`
		Env             []variable
		SecurityContext map[string]any `yaml:"securityContext"`
	}
	port struct {
		Name   string
		Port   int
		Number int    `yaml:"containerPort"`
		Target string `yaml:"targetPort"`
	}
	probe struct {
		Get struct{ Path, Port string } `yaml:"httpGet"`
	}
	variable struct {
		Name, Value string
		From        struct {
			Secret struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	mount struct {
		Name string
		Path string `yaml:"mountPath"`
	}
)

// read reads the manifests of a file, by their kinds.
func read(t *testing.T, file string) map[string]manifest {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	found := map[string]manifest{}
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var m manifest
		err := dec.Decode(&m)
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		require.NotEmpty(t, m.APIVersion)
		require.NotEmpty(t, m.Metadata.Name)
		require.NotContains(t, found, m.Kind)
		found[m.Kind] = m
	}
}

// option is the value of an argument like -drain=60s.
func option(t *testing.T, args []string, name string) string {
	t.Helper()
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, "-"+name+"="); ok {
			return value
		}
	}
	t.Fatalf("there is no -%s in %q", name, args)
	return ""
}

// The manifests fit each other.
func TestManifests(t *testing.T) {
	all := read(t, "base/gateway.yaml")
	d := all["Deployment"].Spec
	pod, labels := d.Template.Spec, d.Template.Metadata.Labels
	require.Len(t, pod.Containers, 1)
	c := pod.Containers[0]
	assert.Equal(t, 3, d.Replicas)
	assert.Equal(t, labels, d.Selector["matchLabels"])
	assert.Equal(t, labels, all["Service"].Spec.Selector)
	assert.Equal(t, labels, all["PodDisruptionBudget"].Spec.Selector["matchLabels"])

	// The Service and the probes lead to the port that the server listens on.
	require.Len(t, c.Ports, 1)
	assert.Equal(t, ":"+strconv.Itoa(c.Ports[0].Number), option(t, c.Args, "listen"))
	for _, name := range []string{all["Service"].Spec.Ports[0].Target, c.Ready.Get.Port, c.Live.Get.Port} {
		assert.Equal(t, c.Ports[0].Name, name)
	}
	assert.Contains(t, strings.Split(option(t, c.Args, "hosts"), ","), all["Service"].Metadata.Name)

	// The pod lives until the drain is over.
	var drain time.Duration
	for _, name := range []string{"drain-delay", "drain"} {
		d, err := time.ParseDuration(option(t, c.Args, name))
		require.NoError(t, err)
		drain += d
	}
	assert.Greater(t, time.Duration(pod.Grace)*time.Second, drain+5*time.Second)

	// Config and secrets are mounted where the server looks for them.
	volumes := map[string]string{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = v.ConfigMap.Name + v.Secret.Name
	}
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		require.Contains(t, volumes, m.Name)
		mounts[m.Path] = volumes[m.Name]
	}
	config := option(t, c.Args, "config")
	assert.Equal(t, all["ConfigMap"].Metadata.Name, mounts[filepath.Dir(config)])
	assert.Contains(t, all["ConfigMap"].Data, filepath.Base(config))
	assert.Equal(t, "openai", mounts[option(t, c.Args, "secrets-dir")+"/openai"])
}

// The fleet's Deployment is the base's with another program, which finds its secrets
// and its store.
func TestFleet(t *testing.T) {
	base, patch, valkey := read(t, "base/gateway.yaml"), read(t, "fleet/gateway.yaml"), read(t, "fleet/valkey.yaml")
	was, c := base["Deployment"].Spec.Template.Spec.Containers[0], patch["Deployment"].Spec.Template.Spec.Containers[0]
	assert.Equal(t, base["Deployment"].Metadata.Name, patch["Deployment"].Metadata.Name)
	assert.Equal(t, was.Name, c.Name, "patches go by the name")
	for _, name := range []string{"config", "listen", "drain-delay", "drain"} {
		assert.Equal(t, option(t, was.Args, name), option(t, c.Args, name))
	}
	service := valkey["Service"]
	assert.Equal(t, service.Spec.Selector, valkey["Deployment"].Spec.Template.Metadata.Labels)
	assert.Equal(t, "redis://"+service.Metadata.Name+":"+strconv.Itoa(service.Spec.Ports[0].Port), option(t, c.Args, "redis"))

	// The program has each of the flags, and reads the fleet's secret.
	program, err := os.ReadFile("../../contrib/redis/example/main.go")
	require.NoError(t, err)
	var flags []string
	for _, m := range regexp.MustCompile(`flags\.\w+\(&o\.\w+, "([a-z-]+)"`).FindAllStringSubmatch(string(program), -1) {
		flags = append(flags, m[1])
	}
	for _, arg := range c.Args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		assert.Contains(t, flags, name)
	}
	assert.Contains(t, string(program), `"AIGATEWAY_SHARED_SECRET"`)

	// Each secret of the config is in the environment, under the name that EnvSecrets
	// reads.
	for _, v := range c.Env {
		if v.From.Secret.Name != "" {
			t.Setenv(v.Name, "of "+v.From.Secret.Name+"/"+v.From.Secret.Key)
		}
	}
	cfg, err := aigateway.ParseConfig([]byte(base["ConfigMap"].Data["gateway.yaml"]))
	require.NoError(t, err)
	cfg.Secrets = aigateway.EnvSecrets()
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	assert.NoError(t, gateway.Check(t.Context()))
	assert.Equal(t, "of openai/api-key", os.Getenv("OPENAI_API_KEY"))
	assert.Equal(t, "of gateway-fleet/secret", os.Getenv("AIGATEWAY_SHARED_SECRET"))
	t.Run("kustomize", func(t *testing.T) {
		for file, want := range map[string][]string{"base/kustomization.yaml": {"gateway.yaml"}, "fleet/kustomization.yaml": {"../base", "valkey.yaml", "gateway.yaml"}} {
			var k struct {
				Resources []string
				Patches   []struct{ Path string }
			}
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, yaml.Unmarshal(text, &k))
			for _, p := range k.Patches {
				k.Resources = append(k.Resources, p.Path)
			}
			assert.Equal(t, want, k.Resources)
			for _, path := range k.Resources {
				_, err := os.Stat(filepath.Join(filepath.Dir(file), path))
				assert.NoError(t, err)
			}
		}
	})
}

// deployed is what a pod sees: a root with the config and the secrets.
func deployed(t *testing.T) (c container, config string, root string) {
	t.Helper()
	all := read(t, "base/gateway.yaml")
	root, c = t.TempDir(), all["Deployment"].Spec.Template.Spec.Containers[0]
	put := func(path, text string) string {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	at := option(t, c.Args, "config")
	config = put(at, all["ConfigMap"].Data[filepath.Base(at)])
	put(option(t, c.Args, "secrets-dir")+"/openai/api-key", "sk-of-the-file\n")
	return c, config, root
}

// The config of the ConfigMap serves, with the key of the mounted file.
func TestConfig(t *testing.T) {
	c, file, root := deployed(t)
	cfg, err := aigateway.LoadConfig(file)
	require.NoError(t, err)
	cfg.Secrets = aigateway.DirSecrets(filepath.Join(root, option(t, c.Args, "secrets-dir")))
	vllm := gatewaytest.NewUpstream(t, gatewaytest.Chat("from the rack"), gatewaytest.Error(http.StatusBadGateway, "", "down"))
	openai := gatewaytest.NewUpstream(t, gatewaytest.Chat("from the cloud"))
	require.Equal(t, "http://vllm.models.svc:8000", cfg.InternalEndpoints["vllm.internal"])
	cfg.InternalEndpoints["vllm.internal"] = vllm.URL
	cfg.Providers[1].BaseURL, cfg.URLPolicy = openai.URL, aigateway.LoopbackURLPolicy()
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	assert.Empty(t, gateway.Warnings())
	assert.NoError(t, gateway.Check(t.Context()))
	for _, want := range []string{"from the rack", "from the cloud"} {
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"llama3"}`)))
		assert.Contains(t, w.Body.String(), want)
	}
	assert.Equal(t, "Bearer sk-of-the-file", openai.Last().Header.Get("Authorization"))
}

// The server starts with the arguments of the container, answers its probes and its
// Service's name, and drains.
func TestServer(t *testing.T) {
	c, config, root := deployed(t)
	bin := filepath.Join(t.TempDir(), "server")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../server").CombinedOutput()
	require.NoError(t, err, string(out))
	args := strings.Split(strings.NewReplacer(
		option(t, c.Args, "config"), config,
		"-listen="+option(t, c.Args, "listen"), "-listen=127.0.0.1:0",
		"-admin-listen="+option(t, c.Args, "admin-listen"), "-admin-listen=127.0.0.1:0",
		"-secrets-dir=", "-secrets-dir="+root,
		"-drain-delay="+option(t, c.Args, "drain-delay"), "-drain-delay=0s",
		"$(NAMESPACE)", "models",
	).Replace(strings.Join(c.Args, "\n")), "\n")
	server := exec.CommandContext(t.Context(), bin, args...)
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "the server did not start")
	_, url, ok := strings.Cut(lines.Text(), "http://")
	require.True(t, ok, lines.Text())
	url = "http://" + url
	ask := func(host, path string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		require.NoError(t, err)
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for _, p := range []probe{c.Ready, c.Live} {
		assert.Equal(t, http.StatusOK, ask("10.1.2.3:8080", p.Get.Path), "the kubelet asks by the pod's address")
	}
	for _, host := range []string{"gateway", "gateway.models", "gateway.models.svc.cluster.local"} {
		assert.Equal(t, http.StatusOK, ask(host, "/v1/models"))
	}
	assert.Equal(t, http.StatusMisdirectedRequest, ask("evil.example", "/v1/models"))
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	_, err = io.Copy(io.Discard, stdout)
	require.NoError(t, err)
	assert.NoError(t, server.Wait(), recipe+": a drain ends well")
}
