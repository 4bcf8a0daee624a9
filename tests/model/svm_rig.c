/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/svm_rig.h"

const struct hc_backend_ops *const rig_backend = &svm_backend;

/* QEMU's EPYC: none of the optional features. */
const struct model_features rig_plain = { .asids = 16,
	                                  .short_invalid = true,
	                                  .rdtscp = true,
	                                  .ignores_shadow = true,
	                                  .keeps_v_irq = true,
	                                  .repeats_intr = true,
	                                  .tcg = true,
	                                  .clean_bits = true };

/* All of them. */
const struct model_features rig_full = { .asids = 32,
	                                 .nrip = true,
	                                 .flush_by_asid = true,
	                                 .decode_assists = true,
	                                 .pause_filter = true,
	                                 .lbrv = true,
	                                 .clean_bits = true,
	                                 .xsave = true,
	                                 .avx512 = true,
	                                 .xsaves = true,
	                                 .rdtscp = true,
	                                 .tsc_ratio = true,
	                                 .la57 = true,
	                                 .keeps_eventinj = true };

const struct model_features rig_bochs = { .asids = 32,
	                                  .nrip = true,
	                                  .flush_by_asid = true,
	                                  .pause_filter = true,
	                                  .lbrv = true,
	                                  .xsave = true,
	                                  .rdtscp = true,
	                                  .bochs = true };

void rig_prepare(void)
{
}

void rig_all_left(void)
{
}

bool rig_is_off(void)
{
	return !(model_this()->efer & X86_EFER_SVME);
}
