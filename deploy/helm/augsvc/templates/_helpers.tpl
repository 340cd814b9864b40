{{- define "augsvc.labels" -}}
app.kubernetes.io/name: augsvc
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
