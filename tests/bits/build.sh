# Builds the training library and `bits` alone. Source it; then: build_bits FOLDER COMPILER FLAGS...
# Each source is a translation unit of its own; -w because warnings are the build's matter.
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=$(command -v ccache || true)
sources=$(cd "$root" && ls training/*.cpp training/numerics/*.cpp training/reference/*.cpp \
    training/cpu/*.cpp core/assert.cpp core/bytes.cpp core/hash.cpp core/keccak.cpp \
    core/merkle.cpp core/rlp.cpp core/uint256.cpp node/mpi/crew.cpp tests/bits/main.cpp)

flags_of() {
    case $machine/$1 in
    x86_64*/path_avx2.cpp) echo "-mavx2 -mfma" ;;
    x86_64*/path_avxvnni.cpp) echo "-mavx2 -mfma -mavxvnni" ;;
    aarch64*/path_neondot.cpp) echo "-march=armv8.2-a+dotprod" ;;
    x86_64*/path_avx512.cpp | x86_64*/hash_avx512.cpp) echo "-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma" ;;
    */node/mpi/crew.cpp) [ -z "$mpi" ] || echo "-DTRAINYARD_HAS_MPI -DOMPI_SKIP_MPICXX $(mpicc --showme:compile)" ;;
    esac
}

mpi=$(command -v mpicc || true) # Open MPI's, if it is there

build_bits() {
    folder=$1
    compiler=$2
    shift 2
    machine=$("$compiler" -dumpmachine)
    mkdir -p "$folder"
    objects=
    for source in $sources; do
        object="$folder/$(echo "$source" | tr / _).o"
        objects="$objects $object"
        (cd "$root" && $cache "$compiler" -std=c++20 -ffp-contract=off "$@" -w -I. $(flags_of "$source") \
            -c "$source" -o "$object")
    done
    "$compiler" ${link:-} $objects -o "$folder/bits" -lcrypto -lpthread $([ -z "$mpi" ] || mpicc --showme:link)
}
