/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/tlb_rig.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

const struct rig_kind rig_kinds[] = {
	{ "ept", &ept_format, TLB_EPT, false, false },
	{ "ept-ad", &ept_ad_format, TLB_EPT, true, false },
	{ "npt", &npt_format, TLB_NPT, true, false },
	{ "vmsav8", &vmsav8_format, TLB_VMSAV8, false, true },
};
const unsigned rig_kind_count = HC_ARRAY_SIZE(rig_kinds);

void rig_open(struct rig *rig, const struct rig_kind *kind, unsigned ipa_bits)
{
	rig->kind = kind;
	rig->tlb = tlb_new(kind->arch);
	assert_int_equal(s2_init(&rig->s2, kind->format, &tlb_mm_ops, rig->tlb, ipa_bits), 0);
	switch (kind->arch) {
	case TLB_EPT: tlb_load_ept(rig->tlb, ept_eptp(&rig->s2)); break;
	case TLB_NPT: tlb_load_npt(rig->tlb, s2_root(&rig->s2).v, NPT_HOST_PAT); break;
	case TLB_VMSAV8:
		/* PARange 3: 42 bits; wider guests want a wider CPU, which the model does not mind.
		 */
		tlb_load_vmsav8(rig->tlb, vmsav8_vtcr(&rig->s2, 3), vmsav8_vttbr(&rig->s2, 0x5a));
		break;
	default: fail();
	}
	rig_check(rig);
}

void rig_check(struct rig *rig)
{
	tlb_check(rig->tlb);
	if (rig->tlb->complaints)
		fail_msg("%s: %s (%u complaints)", rig->kind->name, rig->tlb->complaint,
		         rig->tlb->complaints);
}

void rig_close(struct rig *rig)
{
	tlb_unwatch(rig->tlb);
	rig_check(rig);
	s2_destroy(&rig->s2);
	assert_int_equal(rig->tlb->allocated, 0);
	assert_int_equal(rig->tlb->cached, 0);
	assert_int_equal(rig->tlb->complaints, 0);
	free(rig->tlb);
}
