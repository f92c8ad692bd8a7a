// Says what Flux makes of objects: kstatus's word for each, and its sentence, one object a line.
//
//	usage: kstatus FILE...
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	for _, path := range os.Args[1:] {
		found, err := judge(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "error: %s: %v\n", path, err)
			os.Exit(1)
		}
		fmt.Printf("%s\t%s\n", found.Status, found.Message)
	}
}

func judge(path string) (*status.Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, object); err != nil {
		return nil, err
	}
	return status.Compute(object)
}
