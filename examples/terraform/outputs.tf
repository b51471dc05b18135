output "role_arn" {
  description = "role-to-assume of aliyun/configure-aliyun-credentials-action"
  value       = alicloud_ram_role.runner.arn
}

output "oidc_provider_arn" {
  description = "oidc-provider-arn of aliyun/configure-aliyun-credentials-action"
  value       = "acs:ram::${data.alicloud_account.current.id}:oidc-provider/${alicloud_ims_oidc_provider.github.oidc_provider_name}"
}

output "security_group" {
  description = "security-group of runner/start"
  value       = alicloud_security_group.runner.id
}
