{{- /* What single values may be is in values.schema.json; here is what must hold between them. */}}

{{- define "gridsession.replicas" -}}
{{- if eq (int .Values.replicas) 2 }}{{ fail "replicas is 2: one of two is no majority, so both stop whenever one restarts; give 1 or 3" }}{{ end -}}
{{- int .Values.replicas -}}
{{- end }}

{{- define "gridsession.majority" -}}
{{- add1 (div (int .Values.replicas) 2) -}}
{{- end }}

{{- /* As the node counts them by itself (gridsession/node/config.py). */}}
{{- define "gridsession.backups" -}}
{{- $replicas := int .Values.replicas -}}
{{- $backups := ternary 0 (ternary 1 2 (lt $replicas 5)) (eq $replicas 1) -}}
{{- if ne (toString .Values.backups) "" }}{{ $backups = int .Values.backups }}{{ end -}}
{{- $majority := include "gridsession.majority" . | int -}}
{{- if ge $backups $majority }}{{ fail (printf "backups is %d for %d replicas: a bare majority must be able to make them, so give at most %d" $backups $replicas (sub $majority 1)) }}{{ end -}}
{{- $backups -}}
{{- end }}

{{- /* The majority, and no more away at once than there are copies, or one where there are none. */}}
{{- define "gridsession.minAvailable" -}}
{{- $away := max 1 (include "gridsession.backups" . | int) -}}
{{- max (include "gridsession.majority" . | int) (sub (int .Values.replicas) $away) -}}
{{- end }}

{{- define "gridsession.memoryMi" -}}
{{- if hasSuffix "Gi" .Values.memory }}{{ mul 1024 (trimSuffix "Gi" .Values.memory | int) }}{{ else }}{{ trimSuffix "Mi" .Values.memory }}{{ end -}}
{{- end }}

{{- define "gridsession.heapMi" -}}
{{- $memory := include "gridsession.memoryMi" . | int -}}
{{- $heap := min (div (mul $memory (int .Values.heap.percent)) 100) (sub $memory (int .Values.heap.besideMi)) -}}
{{- if lt (int $heap) 64 }}{{ fail (printf "memory is %s: that leaves less than 64 MiB of heap, give more" .Values.memory) }}{{ end -}}
{{- $heap -}}
{{- end }}
