variable "overlay" {
  description = "Folder of the kustomize overlay to apply, such as infra/kubernetes/overlays/prod."
  type        = string
}

variable "keda_version" {
  description = "Version of KEDA's chart. 2.16 or newer."
  type        = string
  default     = "2.20.2"

  validation {
    condition     = can(regex("^2\\.(1[6-9]|[2-9][0-9])\\.", var.keda_version))
    error_message = "fitq's ScaledJobs need KEDA 2.16 or newer."
  }
}
