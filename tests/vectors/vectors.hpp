// SPDX-License-Identifier: Apache-2.0
// Finds, unpacks and reads the official vectors.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "core/bytes.hpp"

namespace trainyard::vectors {

/// The unpacked folder: $TRAINYARD_VECTORS, or the archive below $TRAINYARD_SHARED (default: the
/// folder `shared` beside the repository), unpacked into the build folder once. nullopt: not there.
[[nodiscard]] std::optional<std::string> folder();

/// Calls `visit(name, case)` for each case of each JSON file at or below `path` in the folder, in
/// the order of names, and returns how many there were.
size_t for_each_case(
    std::string_view path,
    const std::function<void(const std::string& name, const boost::json::value&)>& visit);

/// "0x..." as bytes, anything else as text.
[[nodiscard]] Bytes bytes_or_text(const boost::json::value& value);

/// Tests that are skipped, loudly, where there are no vectors.
class VectorTest : public testing::Test {
protected:
    void SetUp() override {
        if (!folder())
            GTEST_SKIP() << "NO VECTORS: put ethereum.tar.xz into ../shared/vectors, or name the "
                            "folder `shared` in TRAINYARD_SHARED";
    }
};

}  // namespace trainyard::vectors
