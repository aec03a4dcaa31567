// Command inprocess asks a model with OpenAI's own Go SDK. If the first provider
// fails, the second one answers. No socket and no second process are between the
// program and the providers.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/aigateway-go/aigateway"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func main() {
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	if err != nil {
		log.Fatal(err)
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	client := openai.NewClient(option.WithHTTPClient(gateway.Client()), option.WithAPIKey("unused"))
	if err := ask(context.Background(), client, "Why is the sky blue?"); err != nil {
		log.Fatal(err)
	}
}

// ask prints an answer, and who gave it.
func ask(ctx context.Context, client openai.Client, question string) error {
	var answer *http.Response
	stream := client.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{
		Model: "llama3.2", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(question)},
	}, option.WithResponseInto(&answer))
	defer stream.Close()
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			fmt.Print(choice.Delta.Content)
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	if res, ok := aigateway.ResultFromContext(answer.Request.Context()); ok {
		fmt.Printf("\nanswered by %s, attempt %d\n", res.Success.Provider, len(res.ModelsTried))
	}
	return nil
}
