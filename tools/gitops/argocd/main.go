// Says what Argo CD makes of objects: the health that a ConfigMap argocd-cm gives each, and the message, one object a
// line. It is what `argocd admin settings resource-overrides health` does, without the rest of that command.
//
//	usage: argocd-health ARGOCD_CM FILE...
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

const namespace = "argocd"

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(configMap string, paths []string) error {
	overrides, err := healthChecks(configMap)
	if err != nil {
		return err
	}
	for _, path := range paths {
		object := &unstructured.Unstructured{}
		if err := read(path, object); err != nil {
			return err
		}
		health, err := overrides.GetResourceHealth(object)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if health == nil {
			return fmt.Errorf("%s: %w", path, errors.New("the ConfigMap has no health check for its kind"))
		}
		fmt.Printf("%s\t%s\n", health.Status, health.Message)
	}
	return nil
}

// The health checks of a ConfigMap, as Argo CD's own settings read them from a cluster.
func healthChecks(path string) (lua.ResourceHealthOverrides, error) {
	config := &corev1.ConfigMap{}
	if err := read(path, config); err != nil {
		return nil, err
	}
	labels := map[string]string{"app.kubernetes.io/part-of": "argocd"}
	config.ObjectMeta = metav1.ObjectMeta{Name: common.ArgoCDConfigMapName, Namespace: namespace, Labels: labels}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: common.ArgoCDSecretName, Namespace: namespace, Labels: labels},
		Data:       map[string][]byte{"admin.password": nil, "server.secretkey": nil},
	}
	manager := settings.NewSettingsManager(context.Background(), fake.NewClientset(config, secret), namespace)
	if err := manager.ResyncInformers(); err != nil {
		return nil, err
	}
	return manager.GetResourceOverrides()
}

func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if object, ok := into.(*unstructured.Unstructured); ok {
		return json.Unmarshal(text, object)
	}
	return yaml.Unmarshal(text, into)
}
