import actstore
import trainers

dictionary = trainers.load("demo/topk-sae")
protein = actstore.open_store("demo/store").rows(sequence="F00011M0018", sites=dictionary.sites)
code_LF = dictionary.encode(protein.values_ND)  # raw rows in, [residues, latents] out
for latent in code_LF.max(axis=0).argsort()[::-1][:5]:
    print(f"latent {latent}: at most {code_LF[:, latent].max():.2f}, at", protein.residues[code_LF[:, latent].argmax()])
