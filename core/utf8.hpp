// SPDX-License-Identifier: Apache-2.0
// Well-formed UTF-8 (The Unicode Standard, table 3-7).
#pragma once

#include <cstddef>
#include <string_view>

namespace trainyard {

/// How many bytes the character has that `text` begins with; 0 where that is none.
[[nodiscard]] size_t utf8_char_size(std::string_view text);
/// Whether that is one of the control characters 00..1f and 7f..9f, which a terminal may obey.
[[nodiscard]] bool is_control(std::string_view text);

}  // namespace trainyard
