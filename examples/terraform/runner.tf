# A runner that stays until `terraform destroy`, without the two actions. It costs all the time, and it takes every job that asks for
# its label: the runners that runner/start makes take one job and are gone.

resource "alicloud_instance" "runner" {
  count = var.runner == null ? 0 : 1

  instance_name        = "github-runner"
  image_id             = var.runner.image_id
  instance_type        = var.runner.instance_type
  vswitch_id           = var.vswitch_id
  security_groups      = [alicloud_security_group.runner.id]
  instance_charge_type = "PostPaid"

  # no public address, no key, no password, no RAM role; metadata only with a token
  internet_max_bandwidth_out = 0
  http_endpoint              = "enabled"
  http_tokens                = "required"

  system_disk_category = "cloud_essd"
  system_disk_size     = 40 + var.runner.disk_gib

  user_data = base64encode(templatefile("${path.module}/runner.sh.tftpl", {
    repository         = var.repository
    registration_token = var.runner.registration_token
    version            = var.runner.version
    sha256             = var.runner.sha256
  }))

  # the registration token is valid for an hour; a later one must not make a new instance
  lifecycle {
    ignore_changes = [user_data]
  }
}
