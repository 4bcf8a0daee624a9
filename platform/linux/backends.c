/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/backends.h"

#include "arch/x86_64/emu/emu.h"
#include "platform/linux/kvm.h"
#include "platform/linux/unicorn.h"

/* A backend is declared here and named below: nothing else knows which there are. */

const struct linux_backend linux_backends[] = {
	{ .ops = &emu_backend },
	{ .ops = &kvm_backend },
	/* Runs too little for a guest that nobody has looked at. */
	{ .ops = &unicorn_backend, .by_name_only = true },
	{ .ops = &unicorn_a64_backend, .by_name_only = true },
	{ .ops = NULL },
};
