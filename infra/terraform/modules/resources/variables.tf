variable "pools" {
  description = "As in modules/config."
  type        = any
  default     = {}
}

variable "aliases" {
  description = "As in modules/config."
  type        = any
  default     = {}
}

variable "endpoints" {
  description = "As in modules/config."
  type        = any
  default     = {}
}
