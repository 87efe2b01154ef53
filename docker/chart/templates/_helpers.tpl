{{- define "name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "image" -}}
{{- $of := .Values.image -}}
{{ $of.repository }}{{ if $of.digest }}@{{ $of.digest }}{{ else }}:{{ $of.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "account" -}}
{{ .Values.serviceAccount.name | default (include "name" .) }}
{{- end }}

{{- /* A volume's name for a variable. */ -}}
{{- define "volume" -}}
{{ . | lower | replace "_" "-" }}
{{- end }}

{{- /* The pod's part that the Deployment and the Jobs of verify share. */ -}}
{{- define "pod" -}}
serviceAccountName: {{ include "account" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
# It leaves within 8 seconds.
terminationGracePeriodSeconds: 30
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- if or .Values.secrets .Values.files }}
volumes:
{{- range $variable, $from := .Values.secrets }}
  - name: {{ include "volume" $variable }}
    secret: {secretName: {{ $from.name | quote }}, defaultMode: 0440, items: [{key: {{ $from.key | quote }}, path: value}]}
{{- end }}
{{- range $variable, $from := .Values.files }}
  - name: {{ include "volume" $variable }}
    {{- if $from.secret }}
    secret: {secretName: {{ $from.secret | quote }}, defaultMode: 0440, items: [{key: {{ $from.key | quote }}, path: value}]}
    {{- else }}
    configMap: {name: {{ $from.configMap | quote }}, items: [{key: {{ $from.key | quote }}, path: value}]}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The container's part that they share. */ -}}
{{- define "container" -}}
image: {{ include "image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - {name: HTTP_ADDR, value: ":8080"}
{{- range $variable, $value := .Values.settings }}
  - {name: {{ $variable }}, value: {{ $value | quote }}}
{{- end }}
{{- range $variable, $_ := .Values.secrets }}
  - {name: {{ $variable }}_FILE, value: /etc/openai-audit-kafka/{{ $variable }}/value}
{{- end }}
{{- range $variable, $_ := .Values.files }}
  - {name: {{ $variable }}, value: /etc/openai-audit-kafka/{{ $variable }}/value}
{{- end }}
{{- if or .Values.secrets .Values.files }}
# Whole folders: what is mounted as a single file is never replaced.
volumeMounts:
{{- range $variable, $_ := merge (dict) .Values.secrets .Values.files }}
  - {name: {{ include "volume" $variable }}, mountPath: /etc/openai-audit-kafka/{{ $variable }}, readOnly: true}
{{- end }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources: {{- toYaml .Values.resources | nindent 2 }}
{{- end }}
