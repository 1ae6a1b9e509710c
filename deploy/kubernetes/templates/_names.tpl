{{- /* The names of everything: at most 40 characters, because a StatefulSet adds to them in labels of 63. */}}
{{- define "gridsession.name" -}}
{{- $name := ternary .Release.Name (printf "%s-gridsession" .Release.Name) (contains "gridsession" .Release.Name) -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "gridsession.selector" -}}
app.kubernetes.io/name: gridsession
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gridsession.labels" -}}
{{ include "gridsession.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* What a pod must carry to reach the grid's port. */}}
{{- define "gridsession.clientLabel" -}}
gridsession/client: {{ include "gridsession.name" . }}
{{- end }}

{{- define "gridsession.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "gridsession.secret" -}}
{{ .Values.existingSecret | default (printf "%s-cluster" (include "gridsession.name" .)) }}
{{- end }}

{{- /* Each pod's stable name; without the cluster's domain, which differs and which the search path adds. */}}
{{- define "gridsession.addresses" -}}
{{- $name := include "gridsession.name" . -}}
{{- $addresses := list -}}
{{- range $number := until (int .Values.replicas) -}}
{{- $addresses = append $addresses (printf "%s-%d.%s.%s.svc:5701" $name $number $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $addresses -}}
{{- end }}

{{- define "gridsession.clusterName" -}}
- name: GRIDSESSION_CLUSTER_NAME
  valueFrom:
    secretKeyRef:
      name: {{ include "gridsession.secret" . }}
      key: {{ .Values.secretKey }}
{{- end }}

{{- /* For the pod: no root, and a kernel that answers only common system calls. */}}
{{- define "gridsession.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "gridsession.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
