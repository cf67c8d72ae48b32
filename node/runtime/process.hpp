// SPDX-License-Identifier: Apache-2.0
// What a process inherits from whoever starts it: standard descriptors, limits, ignored signals.
#pragma once

#include <cstdint>

namespace trainyard::runtime {

/// Opens what is closed of the descriptors 0, 1 and 2. Else the next file that is opened takes the
/// number, and what is meant for the terminal is written into it: a log line into a database.
/// What is written to a stdout that was closed fails, as results must not get lost; what is written
/// to such a stderr is dropped. Call it first, before anything is opened.
void fill_standard_descriptors();

/// Files and connections that this process may have open at once, after it has asked for all that
/// it is allowed, at most 65,536. A login shell gives 1,024: a node's connections alone, while each
/// of its databases keeps up to 1,000 files open.
uint64_t raise_open_files();

/// True where whoever started this process wants the signal to be ignored, as `nohup` does SIGHUP.
[[nodiscard]] bool is_ignored(int signal);

/// Calls `handler` on SIGINT and SIGTERM, and on SIGHUP (its terminal was closed) unless that is
/// ignored. `flags` are those of sigaction; a second SIGHUP is never more than the first.
void catch_stop_signals(void (*handler)(int), int flags = 0);

}  // namespace trainyard::runtime
