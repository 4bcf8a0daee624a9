/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/test_decode_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <capstone/capstone.h>

struct oracle {
	csh handle;
	cs_insn *insn;
};

unsigned oracle_version(void)
{
	int major = 0, minor = 0;

	(void)cs_version(&major, &minor);
	return (unsigned)major;
}

void *oracle_open(unsigned mode)
{
	struct oracle *o = calloc(1, sizeof(*o));
	cs_mode m = mode == 64 ? CS_MODE_64 : mode == 32 ? CS_MODE_32 : CS_MODE_16;

	if (!o || cs_open(CS_ARCH_X86, m, &o->handle) != CS_ERR_OK)
		abort();
	cs_option(o->handle, CS_OPT_DETAIL, CS_OPT_ON);
	o->insn = cs_malloc(o->handle);
	return o;
}

void oracle_close(void *oracle)
{
	struct oracle *o = oracle;

	cs_free(o->insn, 1);
	cs_close(&o->handle);
	free(o);
}

/* Rows: encodings 0 to 15 and rIP. Columns: 64, 32, 16, 8 bits, and 8 bits high. */
static const x86_reg registers[17][5] = {
	{ X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_INVALID },
	{ X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_INVALID },
	{ X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_INVALID },
	{ X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_INVALID },
	{ X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL, X86_REG_AH },
	{ X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL, X86_REG_CH },
	{ X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL, X86_REG_DH },
	{ X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL, X86_REG_BH },
	{ X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B, X86_REG_INVALID },
	{ X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B, X86_REG_INVALID },
	{ X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B, X86_REG_INVALID },
	{ X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B, X86_REG_INVALID },
	{ X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B, X86_REG_INVALID },
	{ X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B, X86_REG_INVALID },
	{ X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B, X86_REG_INVALID },
	{ X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B, X86_REG_INVALID },
	{ X86_REG_RIP, X86_REG_EIP, X86_REG_IP, X86_REG_INVALID, X86_REG_INVALID },
};

static int number_of(x86_reg reg, unsigned *size)
{
	static const unsigned sizes[5] = { 8, 4, 2, 1, 1 };

	for (int i = 0; reg != X86_REG_INVALID && i < 17; i++)
		for (int j = 0; j < 5; j++)
			if (registers[i][j] == reg) {
				*size = sizes[j];
				return i;
			}
	return ORACLE_NO_REG;
}

static int segment_of(x86_reg reg)
{
	static const x86_reg order[6] = { X86_REG_ES, X86_REG_CS, X86_REG_SS,
		                          X86_REG_DS, X86_REG_FS, X86_REG_GS };

	for (int i = 0; i < 6; i++)
		if (order[i] == reg)
			return i;
	return ORACLE_NO_REG;
}

static void take_operand(const cs_x86_op *op, struct oracle_insn *out)
{
	unsigned size = 0;
	int number;

	switch (op->type) {
	case X86_OP_MEM:
		if (out->has_mem)
			break;
		out->has_mem = true;
		out->base = number_of(op->mem.base, &size);
		out->index = number_of(op->mem.index, &size);
		out->scale = op->mem.scale;
		out->seg = segment_of(op->mem.segment);
		out->disp = op->mem.disp;
		out->mem_size = op->size;
		break;
	case X86_OP_IMM:
		out->has_imm = true;
		out->imm = op->imm;
		break;
	case X86_OP_REG:
		number = number_of(op->reg, &size);
		if (out->reg == ORACLE_NO_REG && number != ORACLE_NO_REG) {
			out->reg = number;
			out->reg_size = size;
		}
		break;
	case X86_OP_INVALID:
	default: break;
	}
}

bool oracle_decode(void *oracle, const uint8_t *bytes, size_t n, uint64_t address,
                   struct oracle_insn *out)
{
	struct oracle *o = oracle;
	const cs_x86 *x86;

	if (!cs_disasm_iter(o->handle, &bytes, &n, &address, o->insn))
		return false;
	x86 = &o->insn->detail->x86;
	memset(out, 0, sizeof(*out));
	out->length = o->insn->size;
	snprintf(out->text, sizeof(out->text), "%.20s %.70s", o->insn->mnemonic, o->insn->op_str);
	snprintf(out->name, sizeof(out->name), "%.23s", o->insn->mnemonic);
	out->reg = ORACLE_NO_REG;
	out->address_size = x86->addr_size;
	for (unsigned i = 0; i < x86->op_count; i++)
		take_operand(&x86->operands[i], out);
	return true;
}
