defmodule Rhizome.Log.Format do
  @moduledoc false
  # The bytes of a term log, as port_src/log/record.h draws them, and nothing
  # about files: what is a header, what is a record, what do they say.
  #
  #     file     = header(64) record ... [zeros]
  #     record   = header(24) payload                payload = 131 term
  #
  # This is a second reader of the format, written from its description and not
  # from the C code, so that a mistake in either shows.

  import Bitwise

  @magic <<0x89, "TLG", 0x0D, 0x0A, 0x1A, 0x0A>>
  @major 1
  @minor 0
  @file_header_bytes 64
  @record_header_bytes 24
  @payload_max (1 <<< 30) + 64

  @kinds %{1 => :log, 2 => :checkpoint, 3 => :manifest}

  # By kind of file: what its records are called.
  @types %{
    log: %{1 => :mutation, 2 => :mark, 3 => :close, 4 => :digest, 5 => :roll},
    checkpoint: %{
      16 => :checkpoint,
      17 => :table,
      18 => :elements,
      19 => :table_end,
      20 => :checkpoint_end
    },
    manifest: %{32 => :manifest}
  }

  # Records that hold terms of users, whose atoms this VM may not have. All
  # others are made of words of the format, which stand in shaped?/2.
  @with_user_terms [:mutation, :table, :elements, :table_end]

  def file_header_bytes, do: @file_header_bytes
  def record_header_bytes, do: @record_header_bytes

  @type header :: %{
          kind: :log | :checkpoint | :manifest,
          major: pos_integer(),
          minor: non_neg_integer(),
          store_id: <<_::128>>,
          epoch: non_neg_integer(),
          first_seq: non_neg_integer()
        }

  # The checksum comes before the version: all versions have it where it is.
  @spec file_header(binary()) :: {:ok, header()} | {:error, String.t()}
  def file_header(bytes) when byte_size(bytes) < @file_header_bytes do
    {:error, "the file ends within its header"}
  end

  def file_header(<<@magic, _rest::binary>> = bytes) do
    <<checked::binary-size(60), checksum::32>> = bytes

    <<@magic, major::16, minor::16, size::16, kind::16, store_id::binary-16, epoch::64,
      first_seq::64, reserved::96>> = checked

    cond do
      :erlang.crc32(checked) != checksum ->
        {:error, "the checksum of the file's header is wrong"}

      major != @major ->
        {:error, "the file has format #{major} and this library knows #{@major}"}

      size != @file_header_bytes or not is_map_key(@kinds, kind) or
          (minor <= @minor and reserved != 0) ->
        {:error, "a field of the file's header is wrong"}

      true ->
        {:ok,
         %{
           kind: @kinds[kind],
           major: major,
           minor: minor,
           store_id: store_id,
           epoch: epoch,
           first_seq: first_seq
         }}
    end
  end

  def file_header(_bytes), do: {:error, "this is not a file of a term log"}

  # What the checksums of a store's record headers begin with.
  @spec seed(binary()) :: non_neg_integer()
  def seed(store_id), do: :erlang.crc32(store_id)

  @type record_header :: %{
          type: byte(),
          seq: non_neg_integer(),
          durable: non_neg_integer(),
          size: pos_integer(),
          checksum: non_neg_integer()
        }

  @spec record_header(binary(), non_neg_integer()) :: {:ok, record_header()} | :error
  def record_header(
        <<header_checksum::32, checked::binary-20, _rest::binary>>,
        seed
      ) do
    <<checksum::32, size::32, type, lag::24, seq::64>> = checked

    if type != 0 and size in 1..@payload_max and lag <= seq and
         :erlang.crc32(seed, checked) == header_checksum do
      {:ok, %{type: type, seq: seq, durable: seq - lag, size: size, checksum: checksum}}
    else
      :error
    end
  end

  # Where in `bytes` the next record header stands that says that something
  # beyond `seq` was durable: its offset, or how many bytes were looked at.
  @spec find_proof(binary(), non_neg_integer(), non_neg_integer()) ::
          {:found, non_neg_integer()} | {:none, non_neg_integer()}
  def find_proof(bytes, seed, seq), do: find_proof(bytes, seed, seq, 0)

  defp find_proof(
         <<_sums::64, size::32, type, lag::24, seq::64, _::binary>> = bytes,
         seed,
         known,
         at
       )
       when type != 0 and size in 1..@payload_max and lag <= seq and seq - lag > known do
    case record_header(bytes, seed) do
      {:ok, _header} -> {:found, at}
      :error -> find_proof(binary_part(bytes, 1, byte_size(bytes) - 1), seed, known, at + 1)
    end
  end

  defp find_proof(<<_, rest::binary>>, seed, known, at)
       when byte_size(rest) >= @record_header_bytes - 1 do
    find_proof(rest, seed, known, at + 1)
  end

  defp find_proof(_short, _seed, _known, at), do: {:none, at}

  # The payload of a record that a header announced.
  @spec payload?(record_header(), binary()) :: boolean()
  def payload?(%{checksum: checksum}, <<131, _term::binary>> = payload) do
    :erlang.crc32(payload) == checksum
  end

  def payload?(_header, _payload), do: false

  @spec type(atom(), byte()) :: {:ok, atom() | 128..255} | :error
  def type(_kind, number) when number >= 128, do: {:ok, number}
  def type(kind, number), do: Map.fetch(@types[kind], number)

  # The term of a payload whose checksum is right. A compressed one could be of
  # any size once unpacked, and is never written.
  @spec term(binary(), atom() | 128..255, :create | :existing) ::
          {:ok, term()} | {:error, String.t()}
  def term(<<131, 80, _rest::binary>>, _type, _atoms), do: {:error, "its term is compressed"}

  def term(payload, type, atoms) do
    safe = if type in @with_user_terms and atoms == :create, do: [], else: [:safe]

    case :erlang.binary_to_term(payload, [:used | safe]) do
      {term, used} when used == byte_size(payload) ->
        if shaped?(type, term), do: {:ok, term}, else: {:error, "its term is none of its type"}

      _bytes_are_left ->
        {:error, "there are bytes behind its term"}
    end
  rescue
    ArgumentError -> {:error, no_term(atoms)}
  end

  defp no_term(:existing), do: "its term holds atoms that this VM does not have, or it is none"
  defp no_term(:create), do: "its payload is no term"

  defp shaped?(:mutation, op), do: is_tuple(op) and tuple_size(op) > 0 and is_atom(elem(op, 0))
  defp shaped?(:mark, term), do: term == []
  defp shaped?(:close, term), do: match?({:close, <<_::128>>}, term)
  defp shaped?(:digest, term), do: match?({:digest, <<_::128>>}, term)
  defp shaped?(:roll, term), do: match?({:roll, <<_::binary>>}, term)
  defp shaped?(:checkpoint, term), do: match?({:checkpoint, %{seq: _, tables: _}}, term)
  defp shaped?(:table, term), do: match?({:create_table, _, _, %{}}, term)

  defp shaped?(:elements, term) do
    match?({:load, _, side, [_ | _]} when side in [:fwd, :bwd], term)
  end

  defp shaped?(:table_end, term), do: match?({:loaded, _, %{count: _}}, term)
  defp shaped?(:checkpoint_end, term), do: match?({:checkpoint_end, %{seq: _, digest: _}}, term)

  defp shaped?(:manifest, term) do
    match?({:manifest, %{epoch: _, checkpoint: _, durable: _, segments: _}}, term)
  end

  defp shaped?(_newer, _term), do: true

  ## Names

  def manifest_name, do: "MANIFEST"
  def segment_name(first_seq), do: "log-#{hex(first_seq)}.tlg"
  def checkpoint_name(seq), do: "ckpt-#{hex(seq)}.tlg"

  @spec segment_seq(String.t()) :: {:ok, non_neg_integer()} | :error
  def segment_seq(<<"log-", digits::binary-16, ".tlg">>) do
    with {seq, ""} <- Integer.parse(digits, 16),
         true <- segment_name(seq) == "log-" <> digits <> ".tlg" do
      {:ok, seq}
    else
      _other -> :error
    end
  end

  def segment_seq(_name), do: :error

  defp hex(seq) do
    seq |> Integer.to_string(16) |> String.downcase() |> String.pad_leading(16, "0")
  end
end
