package sdksuite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/conversations"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// keepers is a gateway in front of two providers that keep what they made. Each
// refuses a request with an id of the other.
func keepers(t *testing.T) (url string, stores map[string]*gatewaytest.Store) {
	stores = map[string]*gatewaytest.Store{"p": {Name: "p"}, "q": {Name: "q"}}
	var cfg aigateway.Config
	cfg.Registry, cfg.InternalEndpoints = aigateway.NoRegistry(), map[string]string{}
	for _, id := range []string{"p", "q"} {
		up := httptest.NewServer(stores[id])
		t.Cleanup(up.Close)
		cfg.InternalEndpoints[id+".internal"] = up.URL
		cfg.Providers = append(cfg.Providers, aigateway.Provider{
			ID: id, BaseURL: "http://" + id + ".internal", APIKeys: []aigateway.APIKey{{Value: aigateway.Template("sk-of-" + id)}},
			Models:               []aigateway.Model{{ID: "m"}},
			SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai"}, {Format: "anthropic"}},
		})
	}
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(gateway)
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		for id, s := range stores {
			assert.Empty(t, s.Strays(), "%s must get only what it made", id)
		}
	})
	return server.URL, stores
}

// The Node.js SDKs reach what either provider stores, by its id, and every endpoint
// beside.
func TestStateNode(t *testing.T) {
	t.Parallel()
	node := nodeBinary(t)
	for script, cases := range map[string]int{"state": 35, "endpoints": 55} {
		for _, provider := range []string{"p", "q"} {
			t.Run(script+" of "+provider, func(t *testing.T) {
				url, stores := keepers(t)
				cmd := exec.CommandContext(t.Context(), node, filepath.Join("node", script+".mjs"))
				cmd.Env = append(os.Environ(), "SUITE_URL="+url, "SUITE_KEY="+clientKey, "SUITE_PROVIDER="+provider)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				stdout, err := cmd.Output()
				require.NoError(t, err, "%s", &stderr)
				var results []struct{ Name, Text string }
				require.NoError(t, json.Unmarshal(stdout, &results), "%s", stdout)
				assert.Len(t, results, cases)
				for _, r := range results {
					assert.NotContains(t, r.Text, "failed:", r.Name)
					assert.NotContains(t, r.Text, "not ", r.Name)
					assert.NotContains(t, r.Text, "undefined", r.Name)
					assert.NotEqual(t, "false", r.Text, r.Name)
					if script == "state" && strings.Contains(r.Name, "content") {
						assert.True(t, strings.HasPrefix(r.Text, "0bytes of "), "%s: %q", r.Name, r.Text)
					}
				}
				for id, s := range stores {
					assert.Equal(t, id == provider, len(s.Requests()) > 0, id)
				}
			})
		}
	}
}

// The Go SDKs do, too.
func TestStateGo(t *testing.T) {
	t.Parallel()
	url, stores := keepers(t)
	client := openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey(clientKey), option.WithMaxRetries(0))
	claude := anthropic.NewClient(anthropicoption.WithBaseURL(url), anthropicoption.WithAPIKey(clientKey), anthropicoption.WithMaxRetries(0))
	for _, provider := range []string{"p", "q"} {
		t.Run(provider, func(t *testing.T) {
			useState(t, client, claude, provider)
		})
	}
	for id, s := range stores {
		for _, line := range s.Requests() {
			assert.True(t, strings.HasSuffix(line, "sk-of-"+id), line)
		}
		assert.Len(t, s.Requests(), 24, id)
	}
}

func useState(t *testing.T, client openai.Client, claude anthropic.Client, provider string) {
	ctx, at := t.Context(), option.WithHeader("X-Aigateway-Provider", provider)

	r, err := client.Responses.New(ctx, responses.ResponseNewParams{
		Model: provider + ":m", Background: openai.Bool(true), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hi")},
	})
	require.NoError(t, err)
	got, err := client.Responses.Get(ctx, r.ID, responses.ResponseGetParams{})
	require.NoError(t, err)
	assert.Equal(t, r.ID, got.ID)
	got, err = client.Responses.Cancel(ctx, r.ID)
	require.NoError(t, err)
	assert.Equal(t, r.ID, got.ID)
	items, err := client.Responses.InputItems.List(ctx, r.ID, responses.InputItemListParams{})
	require.NoError(t, err)
	assert.Len(t, items.Data, 1)
	require.NoError(t, client.Responses.Delete(ctx, r.ID))

	file, err := client.Files.New(ctx, openai.FileNewParams{
		File: openai.File(strings.NewReader("{}\n"), "a.jsonl", "application/jsonl"), Purpose: openai.FilePurposeBatch,
	}, at)
	require.NoError(t, err)
	resp, err := client.Files.Content(ctx, file.ID)
	require.NoError(t, err)
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "\x00bytes of files/"+file.ID+"/content", string(content))

	upload, err := client.Uploads.New(ctx, openai.UploadNewParams{Filename: "b.jsonl", Purpose: openai.FilePurposeBatch, Bytes: 3, MimeType: "application/jsonl"}, at)
	require.NoError(t, err)
	part, err := client.Uploads.Parts.New(ctx, upload.ID, openai.UploadPartNewParams{Data: strings.NewReader("{}\n")})
	require.NoError(t, err)
	upload, err = client.Uploads.Complete(ctx, upload.ID, openai.UploadCompleteParams{PartIDs: []string{part.ID}})
	require.NoError(t, err)
	_, err = client.Files.Get(ctx, upload.File.ID)
	require.NoError(t, err)

	batch, err := client.Batches.New(ctx, openai.BatchNewParams{
		InputFileID: file.ID, Endpoint: openai.BatchNewParamsEndpointV1Responses, CompletionWindow: openai.BatchNewParamsCompletionWindow24h,
	})
	require.NoError(t, err)
	batch, err = client.Batches.Get(ctx, batch.ID)
	require.NoError(t, err)
	_, err = client.Files.Get(ctx, batch.OutputFileID)
	require.NoError(t, err)

	conversation, err := client.Conversations.New(ctx, conversations.ConversationNewParams{}, at)
	require.NoError(t, err)
	_, err = client.Conversations.Items.List(ctx, conversation.ID, conversations.ItemListParams{})
	require.NoError(t, err)

	store, err := client.VectorStores.New(ctx, openai.VectorStoreNewParams{FileIDs: []string{file.ID}})
	require.NoError(t, err)
	_, err = client.VectorStores.Files.New(ctx, store.ID, openai.VectorStoreFileNewParams{FileID: file.ID})
	require.NoError(t, err)

	video, err := client.Videos.New(ctx, openai.VideoNewParams{Model: openai.VideoModel(provider + ":m"), Prompt: "a cat"})
	require.NoError(t, err)
	video, err = client.Videos.Get(ctx, video.ID)
	require.NoError(t, err)
	resp, err = client.Videos.DownloadContent(ctx, video.ID, openai.VideoDownloadContentParams{})
	require.NoError(t, err)
	content, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "\x00bytes of videos/"+video.ID+"/content", string(content))

	requests := []anthropic.MessageBatchNewParamsRequest{{CustomID: "a", Params: anthropic.MessageBatchNewParamsRequestParams{
		Model: "m", MaxTokens: 1, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))},
	}}}
	made, err := claude.Messages.Batches.New(ctx, anthropic.MessageBatchNewParams{Requests: requests}, anthropicoption.WithHeader("X-Aigateway-Provider", provider))
	require.NoError(t, err)
	_, err = claude.Messages.Batches.Get(ctx, made.ID, anthropic.MessageBatchGetParams{})
	require.NoError(t, err)
	_, err = claude.Messages.Batches.Cancel(ctx, made.ID, anthropic.MessageBatchCancelParams{})
	require.NoError(t, err)

	// A page of one model holds all of them: the next one is empty.
	models := claude.Models.ListAutoPaging(ctx, anthropic.ModelListParams{Limit: anthropic.Int(1)})
	var names []string
	for models.Next() {
		names = append(names, models.Current().ID)
	}
	require.NoError(t, models.Err())
	assert.Equal(t, []string{"m"}, names)

	_, err = client.Files.Get(ctx, "file-nobodys")
	var refused *openai.Error
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, http.StatusBadRequest, refused.StatusCode)
	assert.Equal(t, "provider_required", refused.Code, fmt.Sprint(err))
}
