/* SPDX-License-Identifier: BSD-2-Clause */
/* The backend "unicorn" for x86-64 guests, until its module is loaded. */
#include "platform/linux/unicorn.h"

#include "platform/linux/unicorn/module.h"
#include "platform/linux/unicorn_load.h"

static const struct unicorn_x86_host host = {
	.common = UNICORN_HOST(struct x86_vm, struct x86_vcpu, &unicorn_backend),
	.platform_cycles = hc_platform_cycles,
	.mem_ptr = hc_mem_ptr,
	.translate_page = x86_translate_page,
	.apic_cr8 = x86_apic_cr8,
};

static struct unicorn_loader loader = {
	.ops = &unicorn_backend,
	.file = UNICORN_MODULE,
	.host = &host.common,
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static int probe(struct hc_backend_info *info)
{
	return unicorn_loader_probe(&loader, info);
}

struct hc_backend_ops unicorn_backend = {
	.name = "unicorn",
	.isa = HC_ISA_X86_64,
	.probe = probe,
};
