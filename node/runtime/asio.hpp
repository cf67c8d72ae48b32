// SPDX-License-Identifier: Apache-2.0
// What a strand is to Asio; for the subsystems that own sockets.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>

#include "node/runtime/runtime.hpp"

namespace trainyard::runtime {

using AsioStrand = boost::asio::strand<boost::asio::io_context::executor_type>;

struct Strand::Impl {
    explicit Impl(boost::asio::io_context& io) : executor(boost::asio::make_strand(io)) {}
    AsioStrand executor;
};

}  // namespace trainyard::runtime
