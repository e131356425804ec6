variable "pools" {
  description = "Pools by name: how many workers each has, and which secrets its runs may name."
  type = map(object({
    min_workers  = optional(number, 0)
    max_workers  = optional(number)
    idle_seconds = optional(number, 300)
    secrets      = optional(list(string)) # the only ones that its runs may name; all that its workers have if not said
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.pools) : can(regex("^[a-z][a-z0-9-]{0,62}$", name))])
    error_message = "A pool's name has 1 to 63 lower-case letters, digits or '-', and starts with a letter."
  }
  validation {
    condition = alltrue([
      for pool in values(var.pools) : pool.min_workers >= 0 && pool.min_workers <= coalesce(pool.max_workers, 10000)
    ])
    error_message = "A pool needs 0 <= min_workers <= max_workers."
  }
}

variable "aliases" {
  description = "Aliases by model: which version each means. Models themselves come from runs."
  type        = map(map(number))
  default     = {}

  validation {
    condition = alltrue(flatten([
      for aliases in values(var.aliases) : [for alias in keys(aliases) : alias != "latest"]
    ]))
    error_message = "'latest' always means the newest version."
  }
}

variable "endpoints" {
  description = "Endpoints by name. Traffic is percent by version, 100 in all; without it the newest version gets everything."
  type = map(object({
    model       = string
    traffic     = optional(map(number))
    auth        = optional(string, "key")
    method      = optional(string)
    description = optional(string, "")
    tags        = optional(map(string), {})
  }))
  default = {}

  validation {
    condition = alltrue([
      for name in keys(var.endpoints) : can(regex("^[a-z][-a-z0-9]{1,30}[a-z0-9]$", name))
    ])
    error_message = "An endpoint's name has 3 to 32 lower-case letters, digits or '-', and starts with a letter."
  }
  validation {
    condition = alltrue([
      for endpoint in values(var.endpoints) : endpoint.traffic == null || sum(values(coalesce(endpoint.traffic, { none = 100 }))) == 100
    ])
    error_message = "Traffic makes 100 in all."
  }
  validation {
    condition     = alltrue([for e in values(var.endpoints) : contains(["key", "token", "none"], e.auth)])
    error_message = "auth is key, token or none."
  }
}
