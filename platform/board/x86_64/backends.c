/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86_64/emu/emu.h"
#include "arch/x86_64/svm/svm.h"
#include "arch/x86_64/vmx/vmx.h"
#include "machines/pc.h"
#include "platform/board/board.h"

/* In the order in which `backend = auto` tries them. */
const struct hc_backend_ops *const board_backends[] = {
	&vmx_backend,
	&svm_backend,
	&emu_backend,
	NULL,
};

const machine_create_fn board_create_guest = pc_create;
const uint64_t board_guest_exit_at = PC_EXIT_PORT;
