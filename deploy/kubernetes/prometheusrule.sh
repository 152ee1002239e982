#!/bin/sh
# Files of Prometheus rules as a PrometheusRule of the Prometheus operator, comments and all, on standard output:
#   deploy/kubernetes/prometheusrule.sh NAME FILE…
# monitoring/prometheusrule.yaml is made of rules/alertrouter with it; a test fails while the two differ. For the other packs:
#   deploy/kubernetes/prometheusrule.sh llm rules/llm/llm.rules.yaml rules/llm/slo.rules.yaml >llm.yaml
set -eu
if [ $# -lt 2 ]; then
    echo "usage: $0 NAME FILE…" >&2
    exit 2
fi
name=$1
shift
cat <<YAML
# Made by deploy/kubernetes/prometheusrule.sh; change the files it was made of.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: $name
  namespace: alertrouter
  labels:
    app.kubernetes.io/name: alertrouter
spec:
  groups:
YAML
for file in "$@"; do
    # What stands below `groups:`, two columns to the right. Metadata before it stays in the file.
    awk -v file="$file" '
        inside && NF { print "  " $0; next }
        inside { print }
        /^groups:[ \t]*$/ { inside = 1 }
        END { if (!inside) { print "error: " file " has no line `groups:`" >"/dev/stderr"; exit 1 } }
    ' "$file"
done
