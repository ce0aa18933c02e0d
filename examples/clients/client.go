// Pillion's local API from Go, with its standard library alone. Run it under Pillion: pillion run -- go run client.go
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
)

const (
	key     = "/v1/config/clients/visits"
	service = "/v1/services/printer"
)

type fields map[string]string

type answer struct {
	status int
	tag    string
	body   []byte
}

// start sends a request; the body of what it returns can be read as it comes.
func start(method, path string, body []byte, more fields) *http.Response {
	request, err := http.NewRequest(method, os.Getenv("PILLION_URL")+path, bytes.NewReader(body))
	check(err)
	request.Header.Set("Authorization", "Bearer "+os.Getenv("PILLION_TOKEN"))
	for name, value := range more {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	check(err)
	return response
}

func ask(method, path string, body []byte, more fields) answer {
	response := start(method, path, body, more)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(err)
	return answer{response.StatusCode, response.Header.Get("ETag"), text}
}

func put(path string, value any, more fields) answer {
	body, err := json.Marshal(value)
	check(err)
	all := fields{"Content-Type": "application/json"}
	for name, text := range more {
		all[name] = text
	}
	return ask("PUT", path, body, all)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func (a answer) expect(wanted ...int) answer {
	if !slices.Contains(wanted, a.status) {
		log.Fatalf("unexpected status %d: %s", a.status, a.body)
	}
	return a
}

func decode[T any](text []byte) T {
	var value T
	check(json.Unmarshal(text, &value))
	return value
}

type item struct {
	Value int `json:"value"`
}

// writeNext writes the next number, if nobody has written since tag; it reads again and tries again if somebody has.
func writeNext(tag string) string {
	for {
		now := ask("GET", key, nil, nil).expect(200)
		number := decode[item](now.body).Value + 1
		written := put(key, item{number}, fields{"If-Match": tag})
		if written.status != 412 {
			written.expect(200)
			fmt.Printf("write: %d\n", number)
			return written.tag
		}
		fmt.Println("write: somebody was faster, again")
		tag = now.tag
	}
}

// watch reads server-sent events: what is there first, then `current`, then every change.
func watch(newest string) {
	stream := start("GET", "/v1/config?prefix=clients/", nil, fields{"Accept": "text/event-stream"})
	defer stream.Body.Close()
	answer{status: stream.StatusCode}.expect(200)
	event, current := "", false
	lines := bufio.NewScanner(stream.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			event = value
			if event == "current" {
				current = true
				writeNext(newest)
			}
		case name == "data" && current && event == "put":
			fmt.Printf("watch: %d\n", decode[item]([]byte(value)).Value)
			return
		}
	}
	check(lines.Err())
}

func main() {
	ask("GET", key, nil, nil).expect(404)
	fmt.Println("read: nothing there")

	// Only if there is nothing yet.
	first := put(key, item{1}, fields{"If-None-Match": "*"}).expect(201).tag
	fmt.Println("write: 1")
	writeNext(first)
	newest := writeNext(first) // with a tag that is not the newest any more

	fmt.Printf("read: %d\n", decode[item](ask("GET", key, nil, nil).expect(200).body).Value)

	watch(newest)

	instance := map[string]any{"address": "127.0.0.1", "port": 9100, "tags": []string{"laser"}}
	put(service+"/instances/one", instance, nil).expect(200, 201)
	fmt.Println("register: printer")

	type found struct {
		Instances []struct {
			Address string `json:"address"`
			Port    int    `json:"port"`
			Status  string `json:"status"`
		} `json:"instances"`
	}
	for _, one := range decode[found](ask("GET", service, nil, nil).expect(200).body).Instances {
		fmt.Printf("resolve: %s:%d %s\n", one.Address, one.Port, one.Status)
	}

	ask("DELETE", service+"/instances/one", nil, nil).expect(204)
	fmt.Println("unregister: printer")

	ask("POST", "/v1/watchdog", nil, nil).expect(200, 202, 204)
	fmt.Println("heartbeat: taken")

	lines := []byte("INFO one line\nWARN another\n")
	taken := ask("POST", "/v1/logs", lines, fields{"Content-Type": "text/plain"}).expect(202)
	fmt.Printf("log: %d\n", decode[struct {
		Records int `json:"records"`
	}](taken.body).Records)
}
