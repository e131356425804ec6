# KEDA, then fitq's manifests as kustomize renders them: first namespaces and the like, then what lives in them, then
# what waits for others. Pods wait for the Secrets that infra/kubernetes/README.md lists.
# The kinds of KEDA must be known before the overlay can be planned: examples/cluster applies in two steps.

resource "helm_release" "keda" {
  name             = "keda"
  repository       = "https://kedacore.github.io/charts"
  chart            = "keda"
  version          = var.keda_version
  namespace        = "keda"
  create_namespace = true
}

data "kustomization_build" "fitq" {
  path = var.overlay
}

resource "kustomization_resource" "first" {
  for_each   = data.kustomization_build.fitq.ids_prio[0]
  manifest   = data.kustomization_build.fitq.manifests[each.value]
  depends_on = [helm_release.keda]
}

resource "kustomization_resource" "second" {
  for_each   = data.kustomization_build.fitq.ids_prio[1]
  manifest   = data.kustomization_build.fitq.manifests[each.value]
  depends_on = [kustomization_resource.first]
}

resource "kustomization_resource" "third" {
  for_each   = data.kustomization_build.fitq.ids_prio[2]
  manifest   = data.kustomization_build.fitq.manifests[each.value]
  depends_on = [kustomization_resource.second]
}
