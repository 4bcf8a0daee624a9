/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SDM Vol. 3C 27.3.1.2: the guest's segment registers. A rule per register and condition, made by
 * macros from the register's name: ES, CS, SS, DS, FS, GS, LDTR or TR.
 */
#include "arch/x86_64/vmx/check_rules.h"

/* Access rights (25.4.1). */
#define AR_TYPE(ar)     ((ar)&0xfu)
#define AR_ACCESSED     1u
#define AR_READABLE     2u /* of code segments */
#define AR_CODE         8u
#define AR_S            HC_BIT(4)
#define AR_DPL(ar)      (((ar) >> 5) & 3u)
#define AR_P            HC_BIT(7)
#define AR_L            HC_BIT(13)
#define AR_DB           HC_BIT(14)
#define AR_G            HC_BIT(15)
#define AR_RESERVED_LOW UINT64_C(0xf00)
#define AR_V8086        0xf3u

#define TYPE_DATA     3u /* read/write, accessed */
#define TYPE_DOWN     7u /* the same, expand-down */
#define TYPE_LDT      2u
#define TYPE_TSS_16   3u /* busy */
#define TYPE_TSS      11u
#define SELECTOR_TI   4u
#define SELECTOR_RPL  3u
#define CS_CONFORMING 4u

#define SELECTOR(seg) VMX_GET(GUEST_##seg##_SELECTOR)
#define BASE(seg)     VMX_GET(GUEST_##seg##_BASE)
#define LIMIT(seg)    VMX_GET(GUEST_##seg##_LIMIT)
#define RIGHTS(seg)   VMX_GET(GUEST_##seg##_ACCESS_RIGHTS)
#define USABLE(seg)   (!(RIGHTS(seg) & VMX_AR_UNUSABLE))

static bool v8086(const struct vmx_check *c)
{
	return VMX_GET(GUEST_RFLAGS) & X86_FLAG_VM;
}

static bool ia32e(const struct vmx_check *c)
{
	return vmx_has_entry(c, VMX_ENTRY_IA32E);
}

static bool real_mode(const struct vmx_check *c)
{
	return !(VMX_GET(GUEST_CR0) & X86_CR0_PE);
}

/* A limit whose low 12 bits are not all ones is in bytes, one beyond 20 bits is in pages. */
static bool bad_granularity(uint64_t limit, uint64_t rights)
{
	bool pages = rights & AR_G;

	return ((limit & 0xfff) != 0xfff && pages) || (limit >> 20 && !pages);
}

/* --- Selectors --- */

VMX_RULE(tr_ti)
{
	return SELECTOR(TR) & SELECTOR_TI;
}

VMX_RULE(ldtr_ti)
{
	return USABLE(LDTR) && (SELECTOR(LDTR) & SELECTOR_TI);
}

VMX_RULE(ss_rpl)
{
	return !v8086(c) && !vmx_unrestricted(c) &&
	       (SELECTOR(SS) & SELECTOR_RPL) != (SELECTOR(CS) & SELECTOR_RPL);
}

/* --- Bases --- */

VMX_RULE(tr_base)
{
	return vmx_not_canonical(c, BASE(TR));
}

VMX_RULE(fs_base)
{
	return !v8086(c) && vmx_not_canonical(c, BASE(FS));
}

VMX_RULE(gs_base)
{
	return !v8086(c) && vmx_not_canonical(c, BASE(GS));
}

VMX_RULE(ldtr_base)
{
	return USABLE(LDTR) && vmx_not_canonical(c, BASE(LDTR));
}

VMX_RULE(cs_base)
{
	return !v8086(c) && BASE(CS) >> 32;
}

#define BASE_RULE(id, seg)                                                                         \
	VMX_RULE(id##_base)                                                                        \
	{                                                                                          \
		return !v8086(c) && USABLE(seg) && BASE(seg) >> 32;                                \
	}

BASE_RULE(ss, SS)
BASE_RULE(ds, DS)
BASE_RULE(es, ES)

/* --- Virtual-8086 mode fixes all but the selectors --- */

#define V8086_RULES(id, seg)                                                                       \
	VMX_RULE(id##_v8086_base)                                                                  \
	{                                                                                          \
		return v8086(c) && BASE(seg) != SELECTOR(seg) << 4;                                \
	}                                                                                          \
	VMX_RULE(id##_v8086_limit)                                                                 \
	{                                                                                          \
		return v8086(c) && LIMIT(seg) != UINT16_MAX;                                       \
	}                                                                                          \
	VMX_RULE(id##_v8086_rights)                                                                \
	{                                                                                          \
		return v8086(c) && RIGHTS(seg) != AR_V8086;                                        \
	}

V8086_RULES(cs, CS)
V8086_RULES(ss, SS)
V8086_RULES(ds, DS)
V8086_RULES(es, ES)
V8086_RULES(fs, FS)
V8086_RULES(gs, GS)

/* --- Types --- */

VMX_RULE(cs_type)
{
	unsigned type = (unsigned)AR_TYPE(RIGHTS(CS));

	if (v8086(c))
		return false;
	if (type == TYPE_DATA)
		return !vmx_unrestricted(c);
	return !(type & AR_CODE) || !(type & AR_ACCESSED);
}

VMX_RULE(ss_type)
{
	unsigned type = (unsigned)AR_TYPE(RIGHTS(SS));

	return !v8086(c) && USABLE(SS) && type != TYPE_DATA && type != TYPE_DOWN;
}

/* Accessed, and readable if it is code. */
static bool bad_data_type(uint64_t rights)
{
	uint64_t type = AR_TYPE(rights);

	return !(type & AR_ACCESSED) || ((type & AR_CODE) && !(type & AR_READABLE));
}

/* What a program of lower privilege could not have loaded (27.3.1.2, DPL). */
static bool bad_data_dpl(uint64_t rights, uint64_t selector)
{
	bool conforming = AR_TYPE(rights) > 11;

	return !conforming && AR_DPL(rights) < (selector & SELECTOR_RPL);
}

#define DATA_RULES(id, seg)                                                                        \
	VMX_RULE(id##_type)                                                                        \
	{                                                                                          \
		return !v8086(c) && USABLE(seg) && bad_data_type(RIGHTS(seg));                     \
	}                                                                                          \
	VMX_RULE(id##_dpl)                                                                         \
	{                                                                                          \
		return !v8086(c) && !vmx_unrestricted(c) && USABLE(seg) &&                         \
		       bad_data_dpl(RIGHTS(seg), SELECTOR(seg));                                   \
	}

DATA_RULES(ds, DS)
DATA_RULES(es, ES)
DATA_RULES(fs, FS)
DATA_RULES(gs, GS)

/* --- The privilege of CS and SS --- */

VMX_RULE(cs_dpl_data)
{
	return !v8086(c) && AR_TYPE(RIGHTS(CS)) == TYPE_DATA && AR_DPL(RIGHTS(CS)) != 0;
}

static bool code(uint64_t rights)
{
	return AR_TYPE(rights) & AR_CODE;
}

VMX_RULE(cs_dpl)
{
	uint64_t cs = RIGHTS(CS);

	return !v8086(c) && code(cs) && !(cs & CS_CONFORMING) && AR_DPL(cs) != AR_DPL(RIGHTS(SS));
}

VMX_RULE(cs_dpl_conforming)
{
	uint64_t cs = RIGHTS(CS);

	return !v8086(c) && code(cs) && (cs & CS_CONFORMING) && AR_DPL(cs) > AR_DPL(RIGHTS(SS));
}

VMX_RULE(ss_dpl)
{
	return !v8086(c) && !vmx_unrestricted(c) &&
	       AR_DPL(RIGHTS(SS)) != (SELECTOR(SS) & SELECTOR_RPL);
}

VMX_RULE(ss_dpl_real)
{
	return !v8086(c) && (AR_TYPE(RIGHTS(CS)) == TYPE_DATA || real_mode(c)) &&
	       AR_DPL(RIGHTS(SS)) != 0;
}

VMX_RULE(cs_db)
{
	return !v8086(c) && ia32e(c) && (RIGHTS(CS) & AR_L) && (RIGHTS(CS) & AR_DB);
}

/* --- What is alike for all --- */

/* looked_at: whether the register is in use. system: the value of S that it must not have. */
#define COMMON_RULES(id, seg, looked_at, bad_s)                                                    \
	VMX_RULE(id##_s)                                                                           \
	{                                                                                          \
		return (looked_at) && (RIGHTS(seg) & AR_S) == (bad_s);                             \
	}                                                                                          \
	VMX_RULE(id##_present)                                                                     \
	{                                                                                          \
		return (looked_at) && !(RIGHTS(seg) & AR_P);                                       \
	}                                                                                          \
	VMX_RULE(id##_reserved)                                                                    \
	{                                                                                          \
		return (looked_at) && ((RIGHTS(seg) & AR_RESERVED_LOW) || RIGHTS(seg) >> 17);      \
	}                                                                                          \
	VMX_RULE(id##_granularity)                                                                 \
	{                                                                                          \
		return (looked_at) && bad_granularity(LIMIT(seg), RIGHTS(seg));                    \
	}

/* CS and TR are always in use (TR's own rule says so). */
COMMON_RULES(cs, CS, !v8086(c), 0)
COMMON_RULES(ss, SS, !v8086(c) && USABLE(SS), 0)
COMMON_RULES(ds, DS, !v8086(c) && USABLE(DS), 0)
COMMON_RULES(es, ES, !v8086(c) && USABLE(ES), 0)
COMMON_RULES(fs, FS, !v8086(c) && USABLE(FS), 0)
COMMON_RULES(gs, GS, !v8086(c) && USABLE(GS), 0)
COMMON_RULES(tr, TR, true, AR_S)
COMMON_RULES(ldtr, LDTR, USABLE(LDTR), AR_S)

/* --- TR and LDTR --- */

VMX_RULE(tr_type)
{
	uint64_t type = AR_TYPE(RIGHTS(TR));

	return type != TYPE_TSS && (ia32e(c) || type != TYPE_TSS_16);
}

VMX_RULE(tr_usable)
{
	return !USABLE(TR);
}

VMX_RULE(ldtr_type)
{
	return USABLE(LDTR) && AR_TYPE(RIGHTS(LDTR)) != TYPE_LDT;
}

#define SECTION "27.3.1.2"

#define V8086_ROWS(id, seg)                                                                        \
	{ "GUEST_" seg "_BASE is GUEST_" seg "_SELECTOR shifted by 4 in virtual-8086 mode "        \
	  "(GUEST_RFLAGS.VM)",                                                                     \
	  SECTION, id##_v8086_base },                                                              \
		{ "GUEST_" seg "_LIMIT is 0xffff in virtual-8086 mode (GUEST_RFLAGS.VM)", SECTION, \
		  id##_v8086_limit },                                                              \
	{                                                                                          \
		"GUEST_" seg "_ACCESS_RIGHTS is 0xf3 in virtual-8086 mode (GUEST_RFLAGS.VM)",      \
			SECTION, id##_v8086_rights                                                 \
	}

#define COMMON_ROWS(id, seg, s)                                                                    \
	{ "GUEST_" seg "_ACCESS_RIGHTS.S is " s, SECTION, id##_s },                                \
		{ "GUEST_" seg "_ACCESS_RIGHTS.P is set", SECTION, id##_present },                 \
		{ "GUEST_" seg "_ACCESS_RIGHTS[11:8] and [31:17] are 0", SECTION, id##_reserved }, \
	{                                                                                          \
		"GUEST_" seg "_ACCESS_RIGHTS.G is clear where GUEST_" seg                          \
		"_LIMIT[11:0] are not all ones, and set where any of [31:20] is",                  \
			SECTION, id##_granularity                                                  \
	}

#define DATA_ROWS(id, seg)                                                                         \
	{ "GUEST_" seg "_ACCESS_RIGHTS.type is accessed, and readable if code", SECTION,           \
	  id##_type },                                                                             \
	{                                                                                          \
		"GUEST_" seg "_ACCESS_RIGHTS.DPL is at least GUEST_" seg                           \
		"_SELECTOR's RPL without unrestricted guest of SECONDARY_CONTROLS",                \
			SECTION, id##_dpl                                                          \
	}

static const struct vmx_rule rules[] = {
	{ "GUEST_TR_SELECTOR's TI is 0", SECTION, tr_ti },
	{ "GUEST_LDTR_SELECTOR's TI is 0", SECTION, ldtr_ti },
	{ "GUEST_SS_SELECTOR's RPL is GUEST_CS_SELECTOR's without unrestricted guest of "
	  "SECONDARY_CONTROLS",
	  SECTION, ss_rpl },
	V8086_ROWS(cs, "CS"),
	V8086_ROWS(ss, "SS"),
	V8086_ROWS(ds, "DS"),
	V8086_ROWS(es, "ES"),
	V8086_ROWS(fs, "FS"),
	V8086_ROWS(gs, "GS"),
	{ "GUEST_TR_BASE is canonical", SECTION, tr_base },
	{ "GUEST_FS_BASE is canonical", SECTION, fs_base },
	{ "GUEST_GS_BASE is canonical", SECTION, gs_base },
	{ "GUEST_LDTR_BASE is canonical", SECTION, ldtr_base },
	{ "GUEST_CS_BASE[63:32] is 0", SECTION, cs_base },
	{ "GUEST_SS_BASE[63:32] is 0", SECTION, ss_base },
	{ "GUEST_DS_BASE[63:32] is 0", SECTION, ds_base },
	{ "GUEST_ES_BASE[63:32] is 0", SECTION, es_base },
	{ "GUEST_CS_ACCESS_RIGHTS.type is accessed code, or 3 with unrestricted guest of "
	  "SECONDARY_CONTROLS",
	  SECTION, cs_type },
	{ "GUEST_SS_ACCESS_RIGHTS.type is 3 or 7", SECTION, ss_type },
	DATA_ROWS(ds, "DS"),
	DATA_ROWS(es, "ES"),
	DATA_ROWS(fs, "FS"),
	DATA_ROWS(gs, "GS"),
	{ "GUEST_CS_ACCESS_RIGHTS.DPL is 0 where the type is 3", SECTION, cs_dpl_data },
	{ "GUEST_CS_ACCESS_RIGHTS.DPL is GUEST_SS_ACCESS_RIGHTS.DPL if not conforming", SECTION,
	  cs_dpl },
	{ "GUEST_CS_ACCESS_RIGHTS.DPL is at most GUEST_SS_ACCESS_RIGHTS.DPL if conforming", SECTION,
	  cs_dpl_conforming },
	{ "GUEST_SS_ACCESS_RIGHTS.DPL is GUEST_SS_SELECTOR's RPL without unrestricted guest of "
	  "SECONDARY_CONTROLS",
	  SECTION, ss_dpl },
	{ "GUEST_SS_ACCESS_RIGHTS.DPL is 0 in real mode (GUEST_CR0.PE), or where "
	  "GUEST_CS_ACCESS_RIGHTS.type is 3",
	  SECTION, ss_dpl_real },
	COMMON_ROWS(cs, "CS", "set"),
	COMMON_ROWS(ss, "SS", "set"),
	COMMON_ROWS(ds, "DS", "set"),
	COMMON_ROWS(es, "ES", "set"),
	COMMON_ROWS(fs, "FS", "set"),
	COMMON_ROWS(gs, "GS", "set"),
	{ "GUEST_CS_ACCESS_RIGHTS.D/B is clear where L is set in IA-32e mode of ENTRY_CONTROLS",
	  SECTION, cs_db },
	{ "GUEST_TR_ACCESS_RIGHTS.type is that of a busy TSS, 11, or 3 outside IA-32e mode of "
	  "ENTRY_CONTROLS",
	  SECTION, tr_type },
	{ "GUEST_TR_ACCESS_RIGHTS.unusable is clear", SECTION, tr_usable },
	COMMON_ROWS(tr, "TR", "clear"),
	{ "GUEST_LDTR_ACCESS_RIGHTS.type is 2", SECTION, ldtr_type },
	COMMON_ROWS(ldtr, "LDTR", "clear"),
};

const struct vmx_rules vmx_segment_rules = { VMX_RULE_GUEST, HC_ARRAY_SIZE(rules), rules };
