// SPDX-License-Identifier: Apache-2.0
// Well-formed UTF-8 (The Unicode Standard, table 3-7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/bytes.hpp"

namespace trainyard {

/// How many bytes the character has that `text` begins with; 0 where that is none.
[[nodiscard]] size_t utf8_char_size(std::string_view text);
/// Whether that is one of the control characters 00..1f and 7f..9f, which a terminal may obey.
[[nodiscard]] bool is_control(std::string_view text);

enum class LineEnds : uint8_t { kept, replaced };
/// Text that a terminal or a log may be shown, whoever wrote it: control characters and what is not
/// UTF-8 become '?'.
[[nodiscard]] std::string printable(BytesView bytes, LineEnds line_ends);

}  // namespace trainyard
