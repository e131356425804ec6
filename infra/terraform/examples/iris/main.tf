# A platform that is there already, and what one team wants of it:
#   export TF_VAR_token=…   terraform init   terraform plan

terraform {
  required_version = ">= 1.5"
  required_providers {
    restapi = {
      source  = "Mastercard/restapi"
      version = "~> 3.0"
    }
  }
}

variable "url" {
  description = "Address of the control plane."
  type        = string
  default     = "http://127.0.0.1:8700"
}

variable "token" {
  description = "The platform's token. Give it as TF_VAR_token, never in a file."
  type        = string
  sensitive   = true
}

provider "restapi" {
  uri                   = var.url
  bearer_token          = var.token
  write_returns_object  = true
  create_returns_object = true
}

module "iris" {
  source = "../../modules/resources"

  pools = {
    cpu = { max_workers = 4, idle_seconds = 300 }
  }
  aliases = {
    iris = { prod = 1 }
  }
  endpoints = {
    flowers = { model = "iris", traffic = { "1" = 100 } }
  }
}
