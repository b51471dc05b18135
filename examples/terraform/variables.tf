variable "region" {
  description = "Region of the VPC and the cluster"
  type        = string
}

variable "vpc_id" {
  description = "The cluster's VPC"
  type        = string
}

variable "vswitch_id" {
  description = "vSwitch that runners are made in; more of them go into the policy by hand"
  type        = string
}

variable "cluster_id" {
  description = "The PolarDB cluster, as pc-…"
  type        = string
}

variable "repository" {
  description = "owner/name of the repository on GitHub"
  type        = string
}

variable "environment" {
  description = "The environment whose jobs may assume the role"
  type        = string
  default     = "polardb"
}

variable "github_fingerprints" {
  description = "SHA-1 fingerprints of the certificate authority of token.actions.githubusercontent.com; the RAM console fetches them, too"
  type        = list(string)
}

variable "runner" {
  description = "A runner that stays, for those who want no instance made in the workflow; null makes none"
  type = object({
    image_id           = string
    instance_type      = string
    disk_gib           = number
    registration_token = string
    version            = string
    sha256             = string
  })
  default   = null
  sensitive = true
}
