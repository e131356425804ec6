# KEDA and the overlay prod in a cluster that is there already:
#   terraform init
#   terraform apply -target=module.fitq.helm_release.keda     # first: a ScaledJob can only be planned where its kind is known
#   terraform apply

terraform {
  required_version = ">= 1.5"
  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.0"
    }
    kustomization = {
      source  = "kbst/kustomization"
      version = "~> 0.9"
    }
  }
}

variable "kubeconfig" {
  description = "File that says how to reach clusters."
  type        = string
  default     = "~/.kube/config"
}

variable "context" {
  description = "Name of the cluster's context in that file. There is no default: the wrong cluster is one word away."
  type        = string
}

provider "helm" {
  kubernetes = {
    config_path    = pathexpand(var.kubeconfig)
    config_context = var.context
  }
}

provider "kustomization" {
  kubeconfig_path = pathexpand(var.kubeconfig)
  context         = var.context
}

module "fitq" {
  source  = "../../modules/cluster"
  overlay = "${path.module}/../../../kubernetes/overlays/prod"
}
