/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The normalised exit: why a backend's run() came back, in terms that no vendor owns.
 *
 * Handlers are functions of (vcpu, exit) and never see a VMCS, a VMCB or an ESR. A backend fills in
 * the members that the reason's comment names; the others are undefined.
 */
#ifndef HYPERCORE_EXIT_H
#define HYPERCORE_EXIT_H

#include <hypercore/types.h>

enum hc_exit_reason {
	HC_EXIT_INTERRUPT,    /* host interrupt, kick or preemption: nothing to do for the guest */
	HC_EXIT_WINDOW,       /* the guest can now take the event a window was requested for */
	HC_EXIT_HALT,         /* HLT, WFI: next_pc */
	HC_EXIT_IO,           /* x86 port access: u.io, next_pc */
	HC_EXIT_STAGE2,       /* access that stage 2 does not allow: u.stage2 */
	HC_EXIT_BUS,          /* access to a device that the backend decoded: u.bus */
	HC_EXIT_CPUID,        /* next_pc */
	HC_EXIT_MSR_READ,     /* index in RCX; next_pc */
	HC_EXIT_MSR_WRITE,    /* index in RCX, value in RDX:RAX; next_pc */
	HC_EXIT_SYSREG,       /* AArch64 MSR/MRS: u.sysreg, next_pc */
	HC_EXIT_CR_WRITE,     /* u.cr, next_pc */
	HC_EXIT_XSETBV,       /* index in RCX, value in RDX:RAX; next_pc */
	HC_EXIT_EXCEPTION,    /* an intercepted exception: u.exception */
	HC_EXIT_HYPERCALL,    /* VMCALL, VMMCALL, HVC, SMC: next_pc; AArch64: u.call */
	HC_EXIT_CACHE,        /* WBINVD, INVD: next_pc */
	HC_EXIT_UNDEFINED,    /* an instruction this CPU does not offer (VMRUN, ...): #UD */
	HC_EXIT_TASK_SWITCH,  /* hardware task switch through a gate, which is not emulated */
	HC_EXIT_SHUTDOWN,     /* triple fault */
	HC_EXIT_SERROR,       /* AArch64: a physical SError ended the guest: u.serror */
	HC_EXIT_ENTRY_FAILED, /* the hardware refused the guest's state: u.raw */
	HC_EXIT_MODE,         /* the backend cannot run the guest's present mode, another can */
	HC_EXIT_SLICE,        /* the guest has run for as long as limit() said */
	HC_EXIT_EOI,          /* x86: the CPU ended an interrupt that others wait for: u.eoi */
	HC_EXIT_LOG,          /* a list of written pages was full, and is the dirty log's now */
	HC_EXIT_UNKNOWN,      /* a code the backend does not know: u.raw */
	HC_EXIT_REASON_COUNT
};

enum hc_access { HC_ACCESS_READ = 1, HC_ACCESS_WRITE = 2, HC_ACCESS_EXEC = 4 };

struct hc_exit_io {
	uint16_t port;
	uint8_t width; /* 1, 2 or 4 bytes */
	uint8_t write; /* OUT, OUTS */
	union {
		struct {
			uint8_t string;  /* INS, OUTS */
			uint8_t watched; /* DR7 has I/O breakpoints, maybe of this port */
		};
		uint16_t rare; /* not 0: one of the two, or both */
	};
	/* String only, else undefined. */
	uint8_t rep;       /* with a repeat prefix */
	uint8_t segment;   /* enum x86_seg: ES, or of OUTS' source */
	uint8_t addr_size; /* 2, 4 or 8 bytes: of rSI/rDI and rCX */
};

struct hc_exit_stage2 {
	gpa_t gpa;
	uint8_t access;   /* one enum hc_access */
	uint8_t in_walk;  /* while the CPU walked the guest's own page tables */
	uint8_t present;  /* a translation exists but forbids the access */
	uint8_t insn_len; /* bytes of the instruction in insn[], 0 = not known */
	uint8_t insn[15]; /* what the hardware fetched, where it says (decode assists) */
	/* AArch64: the access, where ESR_EL2.ISV says that the hardware described it. */
	uint8_t described;
	uint8_t width;     /* bytes: 1, 2, 4 or 8 */
	uint8_t is_signed; /* a load that extends the sign */
	uint8_t is_64;     /* to 64 bits: SF */
	uint8_t rt;        /* 0 .. 30; 31: the zero register */
	uint8_t is_cache;  /* a cache maintenance or address translation instruction: ESR_EL2.CM */
	gva_t gva;         /* AArch64: FAR_EL2 */
};

/* A backend that decodes accesses to devices itself, and completes the instruction when it is next
 * entered or asked for the vCPU's state: the handler makes the access and leaves PC and registers
 * alone, and asks for no state, which is that of the middle of an instruction. */
struct hc_exit_bus {
	uint64_t address;
	uint64_t *value; /* the backend's: what is written, or where what was read goes */
	/* AArch64, the backend's: where it says whether nothing answered, which is to be an
	 * external abort. A PC's bus has none. */
	bool *is_missed;
	uint8_t space; /* enum hc_space (core/bus.h) */
	uint8_t width; /* bytes: 1, 2 or 4 for ports; 1 to 8 for memory, at any alignment */
	uint8_t write;
};

/* Of HC_EXIT_BUS and HC_EXIT_INTERRUPT only traces show the pc: a backend that would need a system
 * call for it leaves pc and next_pc 0. */
struct hc_exit {
	enum hc_exit_reason reason;
	uint64_t pc;      /* guest RIP or PC at the exit */
	uint64_t next_pc; /* of the instruction after the one that exited */
	union {
		uint64_t word; /* the first eight bytes of any of these, for traces */
		struct hc_exit_io io;
		struct hc_exit_stage2 stage2;
		struct hc_exit_bus bus;
		struct {
			uint64_t value; /* what the guest wants to write */
			uint8_t number; /* 0, 3, 4, 8 */
		} cr;
		struct {
			uint8_t vector;
			uint8_t has_error_code;
			uint32_t error_code;
			uint64_t address; /* #PF: the linear address */
		} exception;
		struct {
			uint32_t number; /* A64_SYSREG() */
			uint8_t rt;      /* 31: the zero register */
			uint8_t write;
		} sysreg;
		struct {
			uint16_t immediate;
		} call;
		struct {
			uint64_t syndrome; /* ESR_EL2 */
		} serror;
		struct {
			uint8_t vector; /* which has left ISR */
		} eoi;
		struct {
			uint64_t code, info1, info2;
		} raw;
	} u;
};

/* The reason's name in lower case, as statistics and messages print it ("io", "cpuid", ...). */
const char *hc_exit_reason_name(enum hc_exit_reason reason);

#endif
