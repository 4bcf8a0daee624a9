/* SPDX-License-Identifier: BSD-2-Clause */
/* The backend "unicorn" for AArch64 guests, until its module is loaded. */
#include "platform/linux/unicorn.h"
#include "platform/linux/unicorn/a64_module.h"
#include "platform/linux/unicorn_load.h"

static const struct unicorn_a64_host host = {
	.common = UNICORN_HOST(struct a64_vm, struct a64_vcpu, &unicorn_a64_backend),
	.raise = a64_raise,
	.raise_at = a64_raise_at,
	.skip = a64_skip,
};

static struct unicorn_loader loader = {
	.ops = &unicorn_a64_backend,
	.file = UNICORN_A64_MODULE,
	.host = &host.common,
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static int probe(struct hc_backend_info *info)
{
	return unicorn_loader_probe(&loader, info);
}

struct hc_backend_ops unicorn_a64_backend = {
	.name = "unicorn",
	.isa = HC_ISA_AARCH64,
	.probe = probe,
};
