/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The settings are two tables: each row says where a value goes, how it is read and, for messages,
 * what would be right. Text is handled as slices of the file; nothing in it is trusted.
 */
#include "platform/board/config.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>
#include <hypercore/vm.h>

#include "core/log.h"

#define MEMORY_UNIT    (2 * HC_MIB)
#define MEMORY_MAX     (1024 * HC_GIB)
#define MEMORY_DEFAULT (256 * HC_MIB)
#define CPUS_MAX       255
#define PERIOD_MAX_MS  3600000

/* How much of a user's text a message repeats. */
#define SHOWN 40

struct slice {
	const char *text;
	size_t len;
};

struct setting {
	const char *key;
	/* Stores value at out. -EINVAL: not one of the right values; -E2BIG: longer than room - 1.
	 */
	int (*set)(void *out, size_t room, struct slice value);
	size_t offset, room;
	const char *right;
};

/* The words of an enum's values. */
struct word {
	const char *word;
	int value;
};

/* --- Slices --- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
	char lower = (char)(c | 0x20);

	return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '_' || c == '.';
}

static struct slice slice_of(const char *text, size_t len)
{
	return (struct slice){ text, len };
}

static struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && is_blank(s.text[0])) {
		s.text++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.text[s.len - 1]))
		s.len--;
	return s;
}

static bool slice_is(struct slice s, const char *text)
{
	return strlen(text) == s.len && memcmp(s.text, text, s.len) == 0;
}

/* Cuts *rest at the first c and returns what stands before it; everything if there is no c. */
static struct slice slice_cut(struct slice *rest, char c)
{
	struct slice head = *rest;

	for (size_t i = 0; i < rest->len; i++) {
		if (rest->text[i] == c) {
			head.len = i;
			rest->text += i + 1;
			rest->len -= i + 1;
			return head;
		}
	}
	rest->text += rest->len;
	rest->len = 0;
	return head;
}

static bool slice_has(struct slice s, char c)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.text[i] == c)
			return true;
	return false;
}

/* The length for "%.*s". */
static int shown(struct slice s)
{
	return (int)hc_min(s.len, SHOWN);
}

/* --- Values --- */

static int set_text(void *out, size_t room, struct slice value)
{
	char *text = out;

	if (value.len >= room)
		return -E2BIG;
	memcpy(text, value.text, value.len);
	text[value.len] = '\0';
	return 0;
}

static int set_name(void *out, size_t room, struct slice value)
{
	for (size_t i = 0; i < value.len; i++)
		if (!is_name_char(value.text[i]))
			return -EINVAL;
	return value.len == 0 ? -EINVAL : set_text(out, room, value);
}

/* One name or two, with a comma between. */
static int set_backends(void *out, size_t room, struct slice value)
{
	struct board_config *config = out;
	bool two = slice_has(value, ',');
	struct slice first = slice_trim(slice_cut(&value, ','));
	int ret = set_name(config->backend, sizeof(config->backend), first);

	config->other[0] = '\0';
	if (ret || !two)
		return ret;
	if (slice_is(first, "auto") || slice_is(slice_trim(value), config->backend))
		return -EINVAL;
	return set_name(config->other, sizeof(config->other), slice_trim(value));
}

static int set_file(void *out, size_t room, struct slice value)
{
	if (value.len == 0 || slice_has(value, '/') || slice_has(value, '\\'))
		return -EINVAL;
	return set_text(out, room, value);
}

/* Reads the digits at the start of *s, -EINVAL if there are none or the number exceeds max. */
static int take_number(struct slice *s, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (s->len == 0 || !is_digit(s->text[0]))
		return -EINVAL;
	for (; s->len > 0 && is_digit(s->text[0]); s->text++, s->len--) {
		v = v * 10 + (uint64_t)(s->text[0] - '0');
		if (v > max)
			return -EINVAL;
	}
	*value = v;
	return 0;
}

static int set_cpus(void *out, size_t room, struct slice value)
{
	uint64_t n;

	if (take_number(&value, CPUS_MAX, &n) != 0 || value.len != 0 || n == 0)
		return -EINVAL;
	*(unsigned *)out = (unsigned)n;
	return 0;
}

static int set_memory(void *out, size_t room, struct slice value)
{
	static const char units[] = "kmgKMG";
	uint64_t n;

	if (take_number(&value, MEMORY_MAX, &n) != 0 || value.len > 1)
		return -EINVAL;
	if (value.len == 1) {
		const char *unit = value.text[0] == '\0' ? NULL : strchr(units, value.text[0]);

		if (!unit)
			return -EINVAL;
		/* n is at most 2^40, so that even n << 30 has to be checked before it is made. */
		unsigned shift = 10 * ((unsigned)(unit - units) % 3 + 1);

		if (n > MEMORY_MAX >> shift)
			return -EINVAL;
		n <<= shift;
	}
	if (n == 0 || n % MEMORY_UNIT != 0)
		return -EINVAL;
	*(uint64_t *)out = n;
	return 0;
}

static int set_period(void *out, size_t room, struct slice value)
{
	uint64_t n;

	if (take_number(&value, PERIOD_MAX_MS, &n) != 0 || n == 0)
		return -EINVAL;
	if (slice_is(value, "s") && n <= PERIOD_MAX_MS / 1000)
		n *= 1000;
	else if (!slice_is(value, "ms"))
		return -EINVAL;
	*(uint64_t *)out = n * 1000000;
	return 0;
}

static int set_rate(void *out, size_t room, struct slice value)
{
	uint64_t n;

	if (take_number(&value, HC_TSC_HZ_MAX, &n) != 0 || value.len != 0 || !hc_is_tsc_hz(n))
		return -EINVAL;
	*(uint64_t *)out = n;
	return 0;
}

static int find_word(const struct word *words, struct slice value, int *found)
{
	for (; words->word; words++) {
		if (slice_is(value, words->word)) {
			*found = words->value;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_bool(void *out, size_t room, struct slice value)
{
	static const struct word words[] = { { "yes", 1 }, { "no", 0 }, { NULL, 0 } };
	int found;
	int ret = find_word(words, value, &found);

	if (ret == 0)
		*(bool *)out = found != 0;
	return ret;
}

static int set_end(void *out, size_t room, struct slice value)
{
	static const struct word words[] = {
		{ "poweroff", BOARD_END_POWEROFF },
		{ "reset", BOARD_END_RESET },
		{ "halt", BOARD_END_HALT },
		{ "debug-exit", BOARD_END_DEBUG_EXIT },
		{ NULL, 0 },
	};
	int found;
	int ret = find_word(words, value, &found);

	if (ret == 0)
		*(enum board_end *)out = (enum board_end)found;
	return ret;
}

static int set_serial(void *out, size_t room, struct slice value)
{
	static const struct word words[] = {
		{ "none", BOARD_SERIAL_NONE },
		{ "log", BOARD_SERIAL_LOG },
		{ "com1", BOARD_SERIAL_COM1 },
		{ "com2", BOARD_SERIAL_COM2 },
		{ "com3", BOARD_SERIAL_COM3 },
		{ "com4", BOARD_SERIAL_COM4 },
		{ NULL, 0 },
	};
	int found;
	int ret = find_word(words, value, &found);

	if (ret == 0)
		*(enum board_serial *)out = (enum board_serial)found;
	return ret;
}

/* A list of at most one serial port and "framebuffer", or "none" alone. */
static int set_console(void *out, size_t room, struct slice value)
{
	struct board_config *config = out;
	enum board_serial console = BOARD_SERIAL_NONE;
	bool framebuffer = false, more;

	if (slice_is(value, "none"))
		value.len = 0;
	else if (value.len == 0)
		return -EINVAL;

	for (more = value.len > 0; more;) {
		enum board_serial port;

		more = slice_has(value, ',');
		struct slice item = slice_trim(slice_cut(&value, ','));

		if (slice_is(item, "framebuffer") && !framebuffer) {
			framebuffer = true;
			continue;
		}
		if (set_serial(&port, 0, item) != 0 || port < BOARD_SERIAL_COM1 ||
		    console != BOARD_SERIAL_NONE)
			return -EINVAL;
		console = port;
	}
	config->console = console;
	config->console_framebuffer = framebuffer;
	return 0;
}

/* A command line may begin or end with blanks, within quotes. */
static int set_append(void *out, size_t room, struct slice value)
{
	if (value.len >= 2 && value.text[0] == '"' && value.text[value.len - 1] == '"')
		value = slice_of(value.text + 1, value.len - 2);
	return set_text(out, room, value);
}

static int set_device(void *out, size_t room, struct slice value)
{
	char text[64];

	if (value.len >= sizeof(text))
		return -EINVAL;
	memcpy(text, value.text, value.len);
	text[value.len] = '\0';
	return machine_add_device(out, text) ? -EINVAL : 0;
}

#define ROOM(type, member) offsetof(type, member), sizeof(((type *)NULL)->member)

static const struct setting global_settings[] = {
	{ "backend", set_backends, 0, sizeof(((struct board_config *)NULL)->backend),
	  "auto, a backend's name, or two different ones as in svm,emu" },
	{ "switch-every", set_period, ROOM(struct board_config, switch_ns),
	  "a time such as 100ms or 2s" },
	{ "console", set_console, 0, sizeof(struct board_config),
	  "none, or one of com1 to com4, framebuffer, or both as in com1,framebuffer" },
	{ "end", set_end, ROOM(struct board_config, end), "poweroff, reset, halt or debug-exit" },
	{ "stats", set_bool, ROOM(struct board_config, stats), "yes or no" },
	{ "dirty-stats", set_period, ROOM(struct board_config, dirty_ns),
	  "a time such as 500ms or 1s" },
	{ NULL, NULL, 0, 0, NULL },
};

static const struct setting vm_settings[] = {
	{ "kernel", set_file, ROOM(struct board_vm_config, kernel),
	  "the name of a file, without a path" },
	{ "initrd", set_file, ROOM(struct board_vm_config, initrd),
	  "the name of a file, without a path" },
	{ "append", set_append, ROOM(struct board_vm_config, append), "the kernel's command line" },
	{ "memory", set_memory, ROOM(struct board_vm_config, memory),
	  "a size such as 512M or 2G, a multiple of 2M up to 1024G" },
	{ "cpus", set_cpus, ROOM(struct board_vm_config, cpus), "a number from 1 to 255" },
	{ "tsc-hz", set_rate, ROOM(struct board_vm_config, tsc_hz),
	  "a number of Hz such as 2500000000: " HC_TSC_HZ_WORDS },
	{ "large-pages", set_bool, ROOM(struct board_vm_config, large_pages), "yes or no" },
	{ "serial0", set_serial, ROOM(struct board_vm_config, serial[0]),
	  "com1, com2, com3, com4, log or none" },
	{ "serial1", set_serial, ROOM(struct board_vm_config, serial[1]),
	  "com1, com2, com3, com4, log or none" },
	{ "device", set_device, ROOM(struct board_vm_config, devices),
	  MACHINE_DEVICE_WORDS ", each once" },
	{ NULL, NULL, 0, 0, NULL },
};

static int find_setting(const struct setting *table, struct slice key)
{
	for (int i = 0; table[i].key; i++)
		if (slice_is(key, table[i].key))
			return i;
	return -ENOENT;
}

/* Stores a value; where names the file and line for messages. */
static int apply(const struct setting *s, void *object, struct slice value, const char *where)
{
	int ret = s->set((char *)object + s->offset, s->room, value);

	if (ret == -E2BIG)
		return hc_error(-E2BIG, "%s: %s: %zu bytes are too long, at most %zu fit", where,
		                s->key, value.len, s->room - 1);
	if (ret != 0)
		return hc_error(-EPROTO, "%s: %s = %.*s: should be %s", where, s->key, shown(value),
		                value.text, s->right);
	return 0;
}

/* --- The file --- */

struct parser {
	struct board_config *config;
	const char *name;
	unsigned line;
	char where[64];             /* "name:line" */
	struct board_vm_config *vm; /* the section that is open; NULL in the first part */
	unsigned vm_line;           /* where it began */
	unsigned seen;              /* bit per setting of the part that is open */
};

static void mark_line(struct parser *p, unsigned line)
{
	hc_snprintf(p->where, sizeof(p->where), "%.48s:%u", p->name, line);
}

static int end_section(struct parser *p)
{
	if (!p->vm || p->vm->kernel[0] != '\0')
		return 0;
	mark_line(p, p->vm_line);
	return hc_error(-EPROTO, "%s: vm %s has no kernel: should have a line kernel = FILE",
	                p->where, p->vm->name);
}

static void vm_init(struct board_vm_config *vm)
{
	memset(vm, 0, sizeof(*vm));
	vm->memory = MEMORY_DEFAULT;
	vm->cpus = 1;
	vm->large_pages = true;
	vm->serial[0] = BOARD_SERIAL_LOG;
	vm->serial[1] = BOARD_SERIAL_NONE;
}

static const struct setting vm_name = {
	"vm", set_name, ROOM(struct board_vm_config, name),
	"a name of letters, digits, '-', '_' and '.', as in [vm debian]"
};

static int begin_vm(struct parser *p, struct slice name)
{
	struct board_config *config = p->config;
	struct board_vm_config *vm = &config->vms[config->vm_count];
	int ret;

	if (config->vm_count == BOARD_MAX_VMS)
		return hc_error(-E2BIG, "%s: [vm %.*s] is one too many, at most %d are possible",
		                p->where, shown(name), name.text, BOARD_MAX_VMS);
	for (unsigned i = 0; i < config->vm_count; i++)
		if (slice_is(name, config->vms[i].name))
			return hc_error(-EPROTO, "%s: there is a [vm %.*s] already: names differ",
			                p->where, shown(name), name.text);
	vm_init(vm);
	ret = apply(&vm_name, vm, name, p->where);
	if (ret != 0)
		return ret;
	config->vm_count++;
	p->vm = vm;
	p->vm_line = p->line;
	p->seen = 0;
	return 0;
}

static int parse_section(struct parser *p, struct slice line)
{
	int ret = end_section(p);
	struct slice name = slice_of(line.text + 1, line.len - 1);
	struct slice kind;

	if (ret != 0)
		return ret;
	if (line.text[line.len - 1] == ']') {
		name.len--;
		name = slice_trim(name);
		kind = slice_cut(&name, ' ');
		if (slice_is(kind, "vm"))
			return begin_vm(p, slice_trim(name));
	}
	return hc_error(-EPROTO, "%s: %.*s: a section should be [vm NAME]", p->where, shown(line),
	                line.text);
}

static int no_such_key(const struct parser *p, const struct setting *table, struct slice key)
{
	char keys[128] = "";

	for (size_t n = 0; table->key && n < sizeof(keys); table++)
		n += (size_t)hc_snprintf(keys + n, sizeof(keys) - n, "%s%s", n ? ", " : "",
		                         table->key);
	return hc_error(-EPROTO, "%s: %.*s: no such key %s: %s", p->where, shown(key), key.text,
	                p->vm ? "in a vm" : "before the first [vm NAME]", keys);
}

static int parse_setting(struct parser *p, struct slice line)
{
	const struct setting *table = p->vm ? vm_settings : global_settings;
	void *object = p->vm ? (void *)p->vm : (void *)p->config;
	struct slice value = line;
	struct slice key;
	int i;

	if (!slice_has(line, '='))
		return hc_error(-EPROTO, "%s: %.*s: should be KEY = VALUE or [vm NAME]", p->where,
		                shown(line), line.text);
	key = slice_trim(slice_cut(&value, '='));
	i = find_setting(table, key);
	if (i < 0)
		return no_such_key(p, table, key);
	if (p->seen & 1u << i && table[i].set != set_device)
		return hc_error(-EPROTO, "%s: %.*s is set twice: should be once", p->where,
		                shown(key), key.text);
	p->seen |= 1u << i;
	return apply(&table[i], object, slice_trim(value), p->where);
}

static int parse_line(struct parser *p, struct slice line)
{
	mark_line(p, p->line);
	line = slice_trim(line);
	if (line.len == 0 || line.text[0] == '#')
		return 0;
	for (size_t i = 0; i < line.len; i++)
		if ((unsigned char)line.text[i] < ' ' && line.text[i] != '\t')
			return hc_error(-EPROTO, "%s: holds a control character: should be text",
			                p->where);
	return line.text[0] == '[' ? parse_section(p, line) : parse_setting(p, line);
}

void board_config_init(struct board_config *config)
{
	memset(config, 0, sizeof(*config));
	memcpy(config->backend, "auto", sizeof("auto"));
	config->console = BOARD_SERIAL_COM1;
	config->console_framebuffer = true;
	config->end = BOARD_END_POWEROFF;
}

int board_config_parse(struct board_config *config, const char *name, const char *text, size_t len)
{
	static const char utf8_mark[] = "\xef\xbb\xbf";
	struct parser p = { .config = config, .name = name };
	struct slice rest = slice_of(text, len);

	/* Editors of some systems begin every text with it. */
	if (len >= 3 && memcmp(text, utf8_mark, 3) == 0)
		rest = slice_of(text + 3, len - 3);
	while (rest.len > 0) {
		int ret;

		p.line++;
		ret = parse_line(&p, slice_cut(&rest, '\n'));
		if (ret != 0)
			return ret;
	}
	return end_section(&p);
}

/* --- The command line --- */

static int parse_word(struct board_config *config, struct slice word)
{
	struct slice value = word;
	struct slice key = slice_cut(&value, '=');
	int i = slice_has(word, '=') ? find_setting(global_settings, key) : -ENOENT;

	if (i >= 0)
		return apply(&global_settings[i], config, value, "command line");
	hc_log(HC_LOG_WARN,
	       "command line: %.*s: ignored, not one of backend=, switch-every=, console=, "
	       "end=, stats=",
	       shown(word), word.text);
	return 0;
}

int board_config_cmdline(struct board_config *config, const char *cmdline)
{
	struct slice rest = slice_of(cmdline, strlen(cmdline));

	for (rest = slice_trim(rest); rest.len > 0; rest = slice_trim(rest)) {
		size_t len = 0;
		int ret;

		while (len < rest.len && !is_blank(rest.text[len]))
			len++;
		ret = parse_word(config, slice_of(rest.text, len));
		if (ret != 0)
			return ret;
		rest = slice_of(rest.text + len, rest.len - len);
	}
	return 0;
}
