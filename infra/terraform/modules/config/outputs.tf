output "pools" {
  description = "Body of PUT /v1/pools/{name}, by name."
  value       = local.pools
}

output "models" {
  description = "Body of PUT /v1/models/{name}, by name."
  value       = local.models
}

output "endpoints" {
  description = "Body of PUT /v1/endpoints/{name}, by name."
  value       = local.endpoints
}

output "yaml" {
  description = "The same as documents for fitq apply."
  value       = join("---\n", [for document in local.documents : yamlencode(document)])
}
