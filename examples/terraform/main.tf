# What the actions runner/start and runner/stop need in Alibaba Cloud and do not make themselves: a security group that lets nobody
# in, and a role that only jobs of one environment of one repository can assume. No access key is made or stored.

terraform {
  required_version = ">= 1.3"
  required_providers {
    alicloud = {
      source  = "aliyun/alicloud"
      version = ">= 1.252"
    }
  }
}

provider "alicloud" {
  region = var.region
}

data "alicloud_account" "current" {}

locals {
  policy = templatefile("${path.module}/policy.json", {
    region         = var.region
    account        = data.alicloud_account.current.id
    repository     = var.repository
    security_group = alicloud_security_group.runner.id
    vswitch        = var.vswitch_id
    cluster        = var.cluster_id
  })
  trust_policy = templatefile("${path.module}/trust-policy.json", {
    account     = data.alicloud_account.current.id
    provider    = alicloud_ims_oidc_provider.github.oidc_provider_name
    repository  = var.repository
    environment = var.environment
  })
}

# No rule lets anything in; a basic security group lets everything out.
resource "alicloud_security_group" "runner" {
  security_group_name = "migrate-to-polardb-runner"
  description         = "GitHub Actions runners of ${var.repository}: nothing comes in"
  vpc_id              = var.vpc_id
  inner_access_policy = "Drop"
}

resource "alicloud_ims_oidc_provider" "github" {
  oidc_provider_name = "github-actions"
  description        = "Jobs of GitHub Actions"
  issuer_url         = "https://token.actions.githubusercontent.com"
  client_ids         = ["sts.aliyuncs.com"]
  fingerprints       = var.github_fingerprints
}

resource "alicloud_ram_role" "runner" {
  role_name                   = "migrate-to-polardb-runner"
  description                 = "Makes and releases runners for ${var.repository}"
  assume_role_policy_document = local.trust_policy
  max_session_duration        = 3600
}

resource "alicloud_ram_policy" "runner" {
  policy_name     = "migrate-to-polardb-runner"
  description     = "What runner/start and runner/stop may do"
  policy_document = local.policy
}

resource "alicloud_ram_role_policy_attachment" "runner" {
  role_name   = alicloud_ram_role.runner.role_name
  policy_name = alicloud_ram_policy.runner.policy_name
  policy_type = alicloud_ram_policy.runner.type
}
