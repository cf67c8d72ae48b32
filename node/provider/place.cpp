// SPDX-License-Identifier: Apache-2.0
// The file is two lines: the name, and a hash of the machine that it was drawn on.
#include "node/provider/place.hpp"

#include "core/hash.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/secrets.hpp"

namespace trainyard::node::provider {

Result<std::string, std::string> place_of(const std::string& folder, std::string_view machine) {
    constexpr std::string_view kPrefix = "place:";
    constexpr size_t kNameBytes = kPrefix.size() + 32, kFileBytesMax = 256;
    const std::string path = folder + "/place";
    const std::string drawn_on = "\n" + to_hex(keccak256(as_bytes(machine)).bytes) + "\n";
    const auto kept = wallet::read_text(path, kFileBytesMax);
    if (kept && kept->starts_with(kPrefix) && kept->size() == kNameBytes + drawn_on.size() &&
        kept->ends_with(drawn_on))
        return kept->substr(0, kNameBytes);
    const std::string name =
        std::string(kPrefix) + to_hex(wallet::random_fixed<Hash>().bytes).substr(0, 32);
    if (auto made = wallet::make_folder(folder); !made) return unexpected(made.error().text);
    if (auto done = wallet::write_text(path, name + drawn_on); !done)
        return unexpected(done.error().text);
    return name;
}

}  // namespace trainyard::node::provider
