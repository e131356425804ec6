# What should be, as the bodies that fitq's API takes. Pure: no provider, no network, nothing to install.

locals {
  # What is null was not said, and the API has its own default for it.
  pools = {
    for name, pool in var.pools : name => { for field, value in pool : field => value if value != null }
  }
  endpoints = {
    for name, endpoint in var.endpoints : name => { for field, value in endpoint : field => value if value != null }
  }
  models = { for name, aliases in var.aliases : name => { aliases = aliases } }

  documents = concat(
    [for name, body in local.pools : merge({ kind = "Pool", name = name }, body)],
    [for name, body in local.models : merge({ kind = "Model", name = name }, body)],
    [for name, body in local.endpoints : merge({ kind = "Endpoint", name = name }, body)],
  )
}
