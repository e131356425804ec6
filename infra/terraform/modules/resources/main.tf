# Pools, aliases and endpoints by fitq's plain REST: PUT creates or replaces, GET answers what was put plus defaults,
# DELETE twice is fine. The server adds fields of its own (counts, times, addresses), which are no drift.

module "config" {
  source    = "../config"
  pools     = var.pools
  aliases   = var.aliases
  endpoints = var.endpoints
}

resource "restapi_object" "pool" {
  for_each = module.config.pools

  path                    = "/v1/pools"
  object_id               = each.key
  id_attribute            = "name"
  create_method           = "PUT"
  create_path             = "/v1/pools/{id}"
  data                    = jsonencode(each.value)
  ignore_server_additions = true
}

resource "restapi_object" "model" {
  for_each = module.config.models

  path                    = "/v1/models"
  object_id               = each.key
  id_attribute            = "name"
  create_method           = "PUT"
  create_path             = "/v1/models/{id}"
  data                    = jsonencode(each.value)
  ignore_server_additions = true

  # Versions are kept for ever: taking the resource away takes its aliases away.
  destroy_method = "PUT"
  destroy_data   = jsonencode({ aliases = {} })
}

resource "restapi_object" "endpoint" {
  for_each   = module.config.endpoints
  depends_on = [restapi_object.model]

  path                    = "/v1/endpoints"
  object_id               = each.key
  id_attribute            = "name"
  create_method           = "PUT"
  create_path             = "/v1/endpoints/{id}"
  data                    = jsonencode(each.value)
  ignore_server_additions = true
}
