{{- define "gridsession.nodesOfThisGrid" -}}
matchLabels:
  {{- include "gridsession.selector" . | nindent 2 }}
  app.kubernetes.io/component: node
{{- end }}

{{- define "gridsession.spread" -}}
{{- with .Values.spread -}}
{{- if eq .hosts "required" -}}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          {{- include "gridsession.nodesOfThisGrid" $ | nindent 10 }}
{{ else if eq .hosts "preferred" -}}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            {{- include "gridsession.nodesOfThisGrid" $ | nindent 12 }}
{{ end -}}
{{- if ne .zones "none" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (eq .zones "required") }}
    labelSelector:
      {{- include "gridsession.nodesOfThisGrid" $ | nindent 6 }}
{{- end -}}
{{- end -}}
{{- end }}
