/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/options.h"
#include "guest/print.h"

static bool ends_word(char c)
{
	return !c || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *value_of(const char *word, const char *key)
{
	size_t length = strlen(key);

	return strncmp(word, key, length) == 0 ? word + length : NULL;
}

struct options options_read(const char *line)
{
	struct options options = { 0 };

	while (*line) {
		const char *value;

		if ((value = value_of(line, "only="))) {
			options.only[1] = options.only[0];
			options.only[0] = value;
		} else if ((value = value_of(line, "skip="))) {
			options.skip = value;
		} else if ((value = value_of(line, "after="))) {
			options.after = value;
		} else if ((value = value_of(line, "list")) && ends_word(*value)) {
			options.list = true;
		}
		while (!ends_word(*line))
			line++;
		while (*line && ends_word(*line))
			line++;
	}
	return options;
}

uint64_t options_number(const char *line, const char *key, uint64_t otherwise)
{
	while (*line) {
		const char *value = value_of(line, key);
		uint64_t number = 0;

		if (value && *value++ == '=') {
			while (*value >= '0' && *value <= '9')
				number = number * 10 + (uint64_t)(*value++ - '0');
			return number;
		}
		while (!ends_word(*line))
			line++;
		while (*line && ends_word(*line))
			line++;
	}
	return otherwise;
}

/* One pattern, which ends at a comma or a word's end. */
static bool match_one(const char *pattern, const char *name)
{
	const char *star = NULL, *retry = NULL;

	for (;;) {
		bool over = *pattern == ',' || ends_word(*pattern);

		if (!over && *pattern == '*') {
			star = pattern++;
			retry = name;
		} else if (over ? !*name || *name == '.' : *pattern == *name) {
			/* A pattern that is over at the dot is a subject: it takes the rest. */
			if (over)
				return true;
			pattern++;
			name++;
		} else if (star && *retry) {
			pattern = star + 1;
			name = ++retry;
		} else {
			return false;
		}
	}
}

bool options_match(const char *patterns, const char *name)
{
	for (const char *at = patterns;; at++) {
		if ((at == patterns || at[-1] == ',') && match_one(at, name))
			return true;
		if (ends_word(*at))
			return false;
	}
}

bool options_select(const struct options *options, const char *name)
{
	for (unsigned int n = 0; n < ONLY_MAX; n++)
		if (options->only[n] && !options_match(options->only[n], name))
			return false;
	return !options->skip || !options_match(options->skip, name);
}
