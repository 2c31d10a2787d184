defmodule Rhizome.LogWriter do
  @moduledoc false
  # Files of a term log, made by hand from the description of the format, for
  # tests of those who read it.

  @magic <<0x89, "TLG", 0x0D, 0x0A, 0x1A, 0x0A>>
  @kinds %{log: 1, checkpoint: 2, manifest: 3}

  @types %{
    mutation: 1,
    mark: 2,
    close: 3,
    digest: 4,
    roll: 5,
    checkpoint: 16,
    table: 17,
    elements: 18,
    table_end: 19,
    checkpoint_end: 20,
    manifest: 32
  }

  @store_id <<0xC0FFEE::128>>

  def store_id, do: @store_id

  def header(kind, fields \\ []) do
    checked =
      <<@magic, fields[:major] || 1::16, fields[:minor] || 0::16, 64::16, @kinds[kind]::16,
        fields[:store_id] || @store_id::binary, fields[:epoch] || 1::64,
        fields[:first_seq] || 1::64, fields[:reserved] || 0::96>>

    <<checked::binary, :erlang.crc32(checked)::32>>
  end

  # `type` is a name or a number; the payload of a :payload is taken as it is.
  def record(type, seq, term, fields \\ []) do
    payload = fields[:payload] || :erlang.term_to_binary(term)
    lag = seq - Keyword.get(fields, :durable, 0)
    type = @types[type] || type

    checked = <<:erlang.crc32(payload)::32, byte_size(payload)::32, type, lag::24, seq::64>>
    seed = :erlang.crc32(fields[:store_id] || @store_id)
    <<:erlang.crc32(seed, checked)::32, checked::binary, payload::binary>>
  end

  def mutation(seq, durable \\ 0), do: record(:mutation, seq, op(seq), durable: durable)
  def op(seq), do: {:insert, :numbers, :fwd, seq}

  # A log of these mutations, none of them known to be durable.
  def log(seqs, fields \\ []) do
    first = Keyword.get(fields, :first_seq, Enum.at(seqs, 0, 1))
    [header(:log, Keyword.put(fields, :first_seq, first)) | Enum.map(seqs, &mutation/1)]
  end

  def checkpoint(seq, elements) do
    [
      header(:checkpoint, first_seq: 1)
      | for {{type, term}, n} <-
              Enum.with_index(
                [
                  checkpoint: {:checkpoint, %{seq: seq, tables: 1}},
                  table: {:create_table, :numbers, :set, %{}},
                  elements: {:load, :numbers, :fwd, elements},
                  table_end: {:loaded, :numbers, %{count: length(elements), next_id: 0}},
                  checkpoint_end: {:checkpoint_end, %{seq: seq, digest: <<0::128>>}}
                ],
                1
              ) do
          record(type, n, term, durable: n)
        end
    ]
  end

  # A store's directory: `files` are {name, bytes}.
  def directory(dir, files, fields \\ []) do
    File.mkdir_p!(dir)
    for {name, bytes} <- files, do: File.write!(Path.join(dir, name), bytes)

    segments =
      for {"log-" <> <<digits::binary-16>> <> _suffix, _bytes} <- files,
          do: String.to_integer(digits, 16)

    manifest = %{
      epoch: 1,
      checkpoint: Keyword.get(fields, :checkpoint, :none),
      digest: <<0::128>>,
      durable: Keyword.get(fields, :durable, 0),
      segments: Keyword.get(fields, :segments, Enum.sort(segments))
    }

    File.write!(Path.join(dir, "MANIFEST"), [
      header(:manifest),
      record(:manifest, 1, {:manifest, manifest}, durable: 1)
    ])

    dir
  end

  def segment_name(first_seq), do: "log-" <> hex(first_seq) <> ".tlg"
  def checkpoint_name(seq), do: "ckpt-" <> hex(seq) <> ".tlg"

  defp hex(seq) do
    seq |> Integer.to_string(16) |> String.downcase() |> String.pad_leading(16, "0")
  end
end
