/* SPDX-License-Identifier: BSD-2-Clause */
/* A VMCS as the model of a CPU with VT-x keeps it: what the files of the model share. */
#ifndef TESTS_MODEL_VMX_CPU_VMCS_H
#define TESTS_MODEL_VMX_CPU_VMCS_H

#include "tests/model/vmx_cpu.h"

#define MODEL_FIELD_ONE(name, encoding) +1
#define MODEL_FIELDS                    (0 VMCS_FIELDS(MODEL_FIELD_ONE))

#define MODEL_VMCS_MAGIC UINT64_C(0x5343a0d0564d4353)

/* In its region. */
struct model_vmcs {
	uint32_t revision, abort;
	uint64_t magic;
	const void *self;
	uint64_t id;
	uint64_t paging_epoch; /* counts what is written over the guest's paging */
	uint32_t active_on;    /* the CPU's number plus 1, 0: on none */
	uint32_t launched;
	uint8_t written[MODEL_FIELDS];
	uint64_t values[MODEL_FIELDS];
};

_Static_assert(sizeof(struct model_vmcs) <= sizeof(struct vmx_region), "it has room");

static inline struct model_vmcs *model_vmcs_in(struct vmx_region *region)
{
	return (struct model_vmcs *)(void *)region;
}

/* Nobody has copied it or written over it. */
static inline bool model_vmcs_intact(const struct model_vmcs *v)
{
	return v->magic == MODEL_VMCS_MAGIC && v->self == v;
}

/* The number of a field, or -1. high: the upper half of a 64-bit field is meant. */
int model_find_field(uint32_t encoding, bool *high);
bool model_read_only(uint32_t encoding);
uint64_t model_get_value(const struct model_vmcs *v, uint32_t field);
void model_set_value(struct model_vmcs *v, uint32_t field, uint64_t value);

/* VMfail (31.2): returns the error, or -1 if there is no current VMCS. */
int model_vm_fail(enum vmx_instruction_error error);

bool model_canonical(uint64_t address);

/* vmx_cpu_tlb.c */
void model_reset_tlb(void);
/* The guest of this VMCS uses what the CPU knows of its translations, and adds to it. */
void model_use_tlb(const struct model_vmcs *v);
/* Entries and exits without VPID drop what is not guest-physical (29.4.3.1). */
void model_drop_vpid_0(void);

#endif
