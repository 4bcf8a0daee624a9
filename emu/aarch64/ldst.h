/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoder of A64 loads and stores (Arm ARM C4.1.94), for accesses to devices that the hardware did
 * not describe: pairs, pre- and post-indexed, exclusive, atomic, SIMD, DC ZVA.
 *
 * Left out are those of features that guests are not offered: tags (FEAT_MTE), authenticated
 * pointers (LDRAA, LDRAB), 64-byte accesses (FEAT_LS64), memory copies (FEAT_MOPS), SVE and SME.
 */
#ifndef EMU_AARCH64_LDST_H
#define EMU_AARCH64_LDST_H

#include <hypercore/types.h>

enum a64_ldst_kind {
	A64_LDST_LOAD,
	A64_LDST_STORE,
	A64_LDST_ATOMIC,   /* LSE: load, combine, store: op */
	A64_LDST_SWAP,     /* SWP */
	A64_LDST_CAS,      /* CAS, CASP */
	A64_LDST_LOAD_EX,  /* LDXR, LDXP ... */
	A64_LDST_STORE_EX, /* STXR, STXP ...: rs gets the status */
	A64_LDST_PREFETCH, /* PRFM: no access */
	A64_LDST_ZERO      /* DC ZVA */
};

/* What A64_LDST_ATOMIC does, by bits 14:12 of the instruction. */
enum a64_atomic { A64_ADD, A64_CLR, A64_EOR, A64_SET, A64_SMAX, A64_SMIN, A64_UMAX, A64_UMIN };

/* Which elements of the registers LD1 .. ST4 transfer: the one of that index, or */
#define A64_LANE_ALL  0xff /* all: LD1 .. ST4 (multiple structures) */
#define A64_LANE_COPY 0xfe /* one that is loaded into all: LD1R .. LD4R */

struct a64_ldst {
	uint8_t kind;    /* enum a64_ldst_kind */
	uint8_t op;      /* enum a64_atomic */
	uint8_t size;    /* bytes of one register's access: 1, 2, 4, 8, 16 */
	uint8_t count;   /* registers: 1, or 2 of a pair, to 4 of LD1..ST4 */
	uint8_t rt, rt2; /* 31: the zero register (never for vectors) */
	uint8_t rs;      /* status or operand; of CASP rs and rs + 1 */
	uint8_t rn;      /* base; 31: SP */
	bool is_vector;  /* rt and rt2 are V registers */
	bool is_signed;  /* a load that extends the sign ... */
	bool is_64;      /* ... to 64 bits; else to 32, the rest is zeroed */
	bool writeback;  /* rn = base + offset (pre- and post-indexed) */
	bool post;       /* the access is at rn, not at rn + offset */
	bool is_literal; /* PC-relative: offset from the instruction */
	bool is_user;    /* LDTR, STTR: as if at EL0 */
	bool has_index;  /* register offset: rm, extended by option, shifted by shift */
	uint8_t rm, option, shift;
	/* LD1 .. ST4: the count registers are rt, rt + 1 ... modulo 32. */
	uint8_t element;   /* bytes of an element; 0: none of these instructions */
	uint8_t structure; /* elements of a structure: 1 .. 4 */
	uint8_t lane;      /* an index or A64_LANE_... */
	int64_t offset;
};

/* 0, or -ENOSYS: no load or store, or one that is UNDEFINED or not listed above. What is
 * CONSTRAINED UNPREDICTABLE (a base that is loaded, ...) is decoded. */
int a64_decode_ldst(uint32_t insn, struct a64_ldst *out);

/* What it transfers, in bytes: 0 for a prefetch; not known for DC ZVA. */
unsigned a64_ldst_bytes(const struct a64_ldst *insn);

#endif
