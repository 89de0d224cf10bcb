#!/bin/sh
# Check and run the flows of this demo; the variables must be set.
set -eu
bundles=demo/usecase-multiflows-remote/bundles

for flow in uc1 uc2; do
    echo "== Checking $flow: aetherflow validate --bundle-manifest $bundles/$flow.yaml"
    aetherflow validate --bundle-manifest "$bundles/$flow.yaml"
    echo "== Running $flow: aetherflow run --bundle-manifest $bundles/$flow.yaml"
    aetherflow run --bundle-manifest "$bundles/$flow.yaml"
done
