{{/* What the release's objects are called: the name of the release, which says that it is this chart or is told so. */}}
{{- define "mtj.name" -}}
{{- ternary .Release.Name (printf "%s-mtj-operator" .Release.Name) (contains "mtj-operator" .Release.Name) | trunc 45 | trimSuffix "-" -}}
{{- end }}

{{- define "mtj.serviceAccount" -}}
{{- $own := ternary (include "mtj.name" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end }}

{{/* By what the operator's pods are known. It can never change in a release. */}}
{{- define "mtj.selector" -}}
app.kubernetes.io/name: mtj-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mtj.labels" -}}
{{ include "mtj.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The name of an image: (list $ image) */}}
{{- define "mtj.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- with $root.Values.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end }}

{{/* What the operator does in every namespace that it serves: mtj_operator.control.rights, USES. */}}
{{- define "mtj.rules" -}}
- apiGroups: [training.discomusica.io]
  resources: [musictrainingjobs]
  verbs: [delete, list, watch]
- apiGroups: [training.discomusica.io]
  resources: [musictrainingjobs/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, delete, get, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [delete, list, patch, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, get]
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch]
- apiGroups: [scheduling.k8s.io]
  resources: [workloads]
  verbs: [create, get]
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
{{- end }}

{{/* The operator's pods, as a peer of pods in other namespaces. */}}
{{- define "mtj.operatorPeer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace }}
podSelector:
  matchLabels:
    {{- include "mtj.selector" . | nindent 4 }}
{{- end }}

{{/* The pods of any job. */}}
{{- define "mtj.jobPods" -}}
matchExpressions:
  - {key: training.discomusica.io/job, operator: Exists}
{{- end }}

{{- define "mtj.dnsEgress" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}

{{- define "mtj.metricsPorts" -}}
{{- with .Values.networkPolicy.metricsPorts -}}
- {protocol: TCP, port: {{ .first }}, endPort: {{ .last }}}
{{- end }}
{{- end }}
