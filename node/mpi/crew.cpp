// SPDX-License-Identifier: Apache-2.0
// Messages of a crew as blocking MPI calls; an error of MPI itself ends all processes.
#include "node/mpi/crew.hpp"

#include <cstdlib>

#if defined(TRAINYARD_HAS_MPI)
#include <mpi.h>
#endif

namespace trainyard::node::mpi {

namespace {

/// Set by Open MPI's and by MPICH's mpirun.
bool is_started_by_mpirun() {
    return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr || std::getenv("PMI_SIZE") != nullptr;
}

#if defined(TRAINYARD_HAS_MPI)
/// MPI counts in int: longer messages go in pieces of 1 GiB.
constexpr size_t kPiece = size_t{1} << 28;

template <class Call>
void in_pieces(size_t count, const Call& call) {
    for (size_t at = 0; at < count; at += kPiece)
        call(at, static_cast<int>(std::min(kPiece, count - at)));
}

class MpiCrew final : public training::Crew {
public:
    MpiCrew() {
        MPI_Init(nullptr, nullptr);
        int rank = 0, size = 1;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        MPI_Comm_size(MPI_COMM_WORLD, &size);
        rank_ = static_cast<uint32_t>(rank);
        size_ = static_cast<uint32_t>(size);
    }
    ~MpiCrew() override { MPI_Finalize(); }
    [[nodiscard]] uint32_t rank() const override { return rank_; }
    [[nodiscard]] uint32_t size() const override { return size_; }
    [[nodiscard]] Bytes gather(BytesView mine) override {
        Bytes all(mine.size() * size_);
        const int bytes = static_cast<int>(mine.size());
        MPI_Allgather(mine.data(), bytes, MPI_BYTE, all.data(), bytes, MPI_BYTE, MPI_COMM_WORLD);
        return all;
    }
    void send_to_first(std::span<const float> x) override {
        in_pieces(x.size(), [x](size_t at, int count) {
            MPI_Send(x.data() + at, count, MPI_FLOAT, 0, 0, MPI_COMM_WORLD);
        });
    }
    void receive(std::span<float> x, uint32_t from) override {
        in_pieces(x.size(), [x, from](size_t at, int count) {
            MPI_Recv(x.data() + at, count, MPI_FLOAT, static_cast<int>(from), 0, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        });
    }
    void share(std::span<float> x) override {
        in_pieces(x.size(), [x](size_t at, int count) {
            MPI_Bcast(x.data() + at, count, MPI_FLOAT, 0, MPI_COMM_WORLD);
        });
    }

private:
    uint32_t rank_ = 0, size_ = 1;
};
#endif

}  // namespace

Result<std::unique_ptr<training::Crew>, std::string> join_crew() {
    if (!is_started_by_mpirun()) return std::unique_ptr<training::Crew>();
#if defined(TRAINYARD_HAS_MPI)
    return std::unique_ptr<training::Crew>(std::make_unique<MpiCrew>());
#else
    return unexpected(
        std::string("started by mpirun, but this build has no MPI; install libopenmpi-dev "
                    "and build again, or run without mpirun"));
#endif
}

void end_crew(int status) {
#if defined(TRAINYARD_HAS_MPI)
    MPI_Abort(MPI_COMM_WORLD, status);
#endif
    std::_Exit(status);
}

}  // namespace trainyard::node::mpi
